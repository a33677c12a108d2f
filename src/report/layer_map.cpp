#include <algorithm>
#include <cmath>
#include <set>

#include "model/desc.h"
#include "report/format.h"
#include "report/html_parts.h"

namespace pare {
namespace {

constexpr double kLabels = 104;  // the width of the roles' names
constexpr double kWidth = 1040;  // of a picture with many blocks
constexpr double kRow = 28, kBars = 84;

struct Cell {
  double bytes = 0.0, weights = 0.0;
  std::string title, type;
};

struct Map {
  int blocks = 0;
  std::vector<std::string> roles;                     // in the order in which a block uses them
  std::map<std::pair<std::string, int>, Cell> cells;  // by role and block
  std::vector<double> expected_kl, error2, weights;   // by block
};

// A name in a hostile file may put a tensor into any block; pictures end here.
constexpr int kMostBlocks = 1000;

Map make_map(const Report& report) {
  Map map;
  std::set<std::string> present;
  std::vector<std::string> others;
  for (const ReportTensor& t : report.tensors) {
    if (t.block < 0 || t.block >= kMostBlocks || !is_matrix(t)) continue;
    map.blocks = std::max(map.blocks, t.block + 1);
    if (present.insert(t.role).second) others.push_back(t.role);
    Cell& cell = map.cells[{t.role, t.block}];
    cell.bytes += static_cast<double>(t.bytes);
    cell.weights += weights_of(t);
    if (!cell.title.empty()) cell.title += "\n";
    cell.title += fmt::format("{}: {}, {} bits/weight, {}, relative error {}", t.name, t.to,
                              format_bits(t.bits_per_weight), format_size(t.bytes),
                              format_number(t.relative_rms));
    cell.type = t.to;
  }
  for (int i = 0; i <= static_cast<int>(Role::kOther); ++i) {
    const std::string name = role_name(static_cast<Role>(i));
    if (present.erase(name) > 0) map.roles.push_back(name);
  }
  for (const std::string& role : others) {
    if (present.count(role) > 0) map.roles.push_back(role);
  }
  const auto blocks = static_cast<size_t>(map.blocks);
  map.expected_kl.resize(blocks);
  map.error2.resize(blocks);
  map.weights.resize(blocks);
  for (const ReportTensor& t : report.tensors) {
    if (t.block < 0 || t.block >= map.blocks || !is_matrix(t)) continue;
    const auto b = static_cast<size_t>(t.block);
    if (std::isfinite(t.expected_kl)) map.expected_kl[b] += t.expected_kl;
    if (!std::isfinite(t.relative_rms)) continue;
    map.error2[b] += weights_of(t) * t.relative_rms * t.relative_rms;
    map.weights[b] += weights_of(t);
  }
  return map;
}

double cell_width(const Map& map) { return std::clamp((kWidth - kLabels) / map.blocks, 4.0, 46.0); }

void put_svg_open(const Map& map, double height, std::string_view label, std::string* out) {
  const double width = kLabels + cell_width(map) * map.blocks + 2;
  // Narrow screens scroll sideways instead of shrinking the text away.
  put(out,
      "<svg viewBox=\"0 0 {:.1f} {:.1f}\" role=\"img\" aria-label=\"{}\" "
      "style=\"width:{:.0f}px;min-width:{:.0f}px\">\n",
      width, height, label, width, std::min(width, 760.0));
}

void put_bars(const Map& map, std::string* out) {
  std::vector<double> values = map.expected_kl;
  const bool by_kl = std::any_of(values.begin(), values.end(), [](double v) { return v > 0.0; });
  if (!by_kl) {
    for (size_t b = 0; b < values.size(); ++b) {
      values[b] = map.weights[b] > 0.0 ? std::sqrt(map.error2[b] / map.weights[b]) : 0.0;
    }
  }
  const double most = *std::max_element(values.begin(), values.end());
  if (!(most > 0.0)) return;
  const char* what = by_kl ? "expected KL" : "relative error";
  const double w = cell_width(map);
  const double base = kBars - 6, height = base - 16;
  put_svg_open(map, kBars, fmt::format("{} of each block", what), out);
  put(out, "<text class=\"role\" x=\"0\" y=\"{}\">{}</text>", base - 3, what);
  put(out, "<text class=\"tick end\" x=\"{}\" y=\"{}\">{}</text>", kLabels - 8, 22,
      format_number(most));
  put(out, "<line class=\"rule\" x1=\"{}\" x2=\"{:.1f}\" y1=\"16\" y2=\"16\"/>", kLabels,
      kLabels + w * map.blocks);
  put(out, "<line class=\"axis\" x1=\"{}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>\n", kLabels,
      kLabels + w * map.blocks, base, base);
  for (size_t b = 0; b < values.size(); ++b) {
    const double h = height * std::max(values[b], 0.0) / most;
    put(out,
        "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
        "<title>block {}: {} {}</title></rect>\n",
        kLabels + w * static_cast<double>(b) + w * 0.12, base - h, w * 0.76, h, b, what,
        format_number(values[b]));
  }
  *out += "</svg>\n";
}

}  // namespace

BitsScale::BitsScale(const std::vector<ReportTensor>& tensors) {
  std::set<int> values;
  for (const ReportTensor& t : tensors) {
    if (is_matrix(t) && t.bits_per_weight > 0.0 && t.bits_per_weight < 1e3) {
      values.insert(static_cast<int>(std::lround(100.0 * t.bits_per_weight)));
    }
  }
  const int last = static_cast<int>(values.size()) - 1;
  int rank = 0;
  for (int value : values) {
    steps_[value] = last == 0 ? kSteps / 2 : rank * (kSteps - 1) / last;
    ++rank;
  }
}

int BitsScale::step(double bits) const {
  if (steps_.empty() || !(bits > 0.0) || !(bits < 1e3)) return 0;
  // A cell of several tensors has bits between those that occur: the next step up.
  const auto at = steps_.lower_bound(static_cast<int>(std::lround(100.0 * bits)));
  return at == steps_.end() ? kSteps - 1 : at->second;
}

void put_layer_map(const Report& report, const BitsScale& scale, std::string* out) {
  const Map map = make_map(report);
  if (map.blocks == 0) return;
  const double w = cell_width(map);
  const double bottom = kRow * static_cast<double>(map.roles.size());
  *out +=
      "<figure class=\"map\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Bits per weight of every matrix\">\n";
  put_svg_open(map, bottom + 22,
               fmt::format("Heat map of {} blocks and {} roles; colour is bits per weight. The "
                           "table of tensors below has every number",
                           map.blocks, map.roles.size()),
               out);
  for (size_t r = 0; r < map.roles.size(); ++r) {
    const double y = kRow * static_cast<double>(r);
    put(out, "<text class=\"role\" x=\"0\" y=\"{:.1f}\">{}</text>\n", y + kRow / 2 + 4,
        escape_html(map.roles[r]));
    for (int b = 0; b < map.blocks; ++b) {
      const auto found = map.cells.find({map.roles[r], b});
      if (found == map.cells.end()) continue;
      const Cell& cell = found->second;
      const double bits = cell.weights > 0.0 ? 8.0 * cell.bytes / cell.weights : 0.0;
      const int step = scale.step(bits);
      const double x = kLabels + w * b, gap = w < 8 ? 0.5 : 1.5;
      put(out,
          "<g><title>{}</title><rect class=\"h{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\" rx=\"{}\"/>",
          escape_html(cell.title), step, x, y + 1, w - gap, kRow - 2, w < 12 ? 1 : 3);
      if (w >= 24) {
        put(out, "<text class=\"in t{}\" x=\"{:.1f}\" y=\"{:.1f}\">{:.{}f}</text>", step,
            x + (w - gap) / 2, y + kRow / 2 + 4, bits, bits < 9.95 ? 1 : 0);
      }
      *out += "</g>\n";
    }
  }
  int every = 1;
  for (int next : {2, 5, 10, 20, 50, 100, 200}) {
    if (every * w >= 24) break;
    every = next;
  }
  for (int b = 0; b < map.blocks; b += every) {
    put(out, "<text class=\"tick mid\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
        kLabels + w * (b + 0.5), bottom + 16, b);
  }
  put(out, "<text class=\"role\" x=\"0\" y=\"{:.1f}\">block</text>\n</svg>\n", bottom + 16);
  put_bars(map, out);
  *out += "</div></figure>\n";
}

}  // namespace pare

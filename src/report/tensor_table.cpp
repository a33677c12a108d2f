#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/html_parts.h"

namespace pare {
namespace {

// What sorting compares: the number itself, not its short form. Last if there is none.
std::string sort_key(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

void put_number(double key, const std::string& shown, std::string* out) {
  put(out, "<td class=\"n\" data-v=\"{}\">{}</td>", sort_key(key), shown);
}

struct TypeTotal {
  double bits = 0.0;
  uint64_t bytes = 0;
  size_t tensors = 0;
};

}  // namespace

void put_type_legend(const Report& report, const BitsScale& scale, std::string* out) {
  std::map<std::string, TypeTotal> types;
  uint64_t all = 0, rest = 0;
  size_t rest_count = 0;
  for (const ReportTensor& t : report.tensors) {
    all += t.bytes;
    if (!is_matrix(t)) {
      rest += t.bytes;
      ++rest_count;
      continue;
    }
    TypeTotal& total = types[t.to];
    total.bits = t.bits_per_weight;
    total.bytes += t.bytes;
    ++total.tensors;
  }
  if (types.empty() || all == 0) return;
  std::vector<std::pair<std::string, TypeTotal>> sorted(types.begin(), types.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.bits < b.second.bits; });
  const auto share = [&](uint64_t bytes) {
    return 100.0 * static_cast<double>(bytes) / static_cast<double>(all);
  };
  *out += "<div class=\"shares\" aria-hidden=\"true\">";
  for (const auto& [name, total] : sorted) {
    put(out,
        "<span class=\"h{}\" style=\"flex-grow:{:.3f}\" title=\"{}: {:.1f} % of the bytes\">"
        "</span>",
        scale.step(total.bits), std::max(share(total.bytes), 0.1), escape_html(name),
        share(total.bytes));
  }
  *out += "</div>\n<ul class=\"legend\">\n";
  for (const auto& [name, total] : sorted) {
    put(out,
        "<li><i class=\"h{}\" aria-hidden=\"true\"></i><b>{}</b> <span>{} bits, {} {}, {} "
        "({:.1f}&nbsp;%)</span></li>\n",
        scale.step(total.bits), escape_html(name), format_bits(total.bits), total.tensors,
        total.tensors == 1 ? "matrix" : "matrices", format_size(total.bytes), share(total.bytes));
  }
  *out += "</ul>\n";
  if (rest_count > 0) {
    put(out, "<p class=\"note\">Not in the picture: {} vectors (norms, biases), {} in all.</p>\n",
        rest_count, format_size(rest));
  }
}

void put_outside_strip(const Report& report, const BitsScale& scale, std::string* out) {
  bool any = false;
  for (const ReportTensor& t : report.tensors) {
    if (t.block >= 0 || !is_matrix(t)) continue;
    if (!any) *out += "<h3>Outside the blocks</h3>\n<ul class=\"outside\">\n";
    any = true;
    put(out,
        "<li><i class=\"h{}\" aria-hidden=\"true\"></i><div><b><bdi>{}</bdi></b><span>{} "
        "\u2192 {}, {} bits/weight, {}</span></div></li>\n",
        scale.step(t.bits_per_weight), escape_html(t.name), escape_html(t.from), escape_html(t.to),
        format_bits(t.bits_per_weight), format_size(t.bytes));
  }
  if (any) *out += "</ul>\n";
}

void put_tensor_table(const Report& report, const BitsScale& scale, std::string* out) {
  if (report.tensors.empty()) return;
  put(out,
      "<section aria-labelledby=\"all\"><h2 id=\"all\">Every tensor</h2>\n<details>"
      "<summary>Show all {} tensors</summary>\n<div class=\"scroll\" tabindex=\"0\" "
      "role=\"region\" aria-label=\"Table of all tensors\">\n<table class=\"tensors\"><thead><tr>",
      report.tensors.size());
  static constexpr struct {
    const char* name;
    bool number;
  } kColumns[] = {{"tensor", false},     {"block", true},       {"shape", false},
                  {"from", false},       {"to", false},         {"method", false},
                  {"size", true},        {"bits/weight", true}, {"relative error", true},
                  {"expected KL", true}, {"why", false}};
  for (const auto& column : kColumns) {
    put(out, "<th scope=\"col\"{}>{}</th>", column.number ? " class=\"n\"" : "", column.name);
  }
  *out += "</tr></thead><tbody>\n";
  for (const ReportTensor& t : report.tensors) {
    put(out, "<tr><th scope=\"row\" title=\"role {}\"><bdi>{}</bdi></th>", escape_html(t.role),
        escape_html(t.name));
    put_number(t.block, t.block < 0 ? std::string(kNothing) : fmt::format("{}", t.block), out);
    put(out, "<td>{}</td><td>{}</td>", escape_html(t.shape), escape_html(t.from));
    put(out, "<td class=\"type\">");
    if (is_matrix(t)) {
      put(out, "<i class=\"h{}\" aria-hidden=\"true\"></i>", scale.step(t.bits_per_weight));
    }
    put(out, "{}</td><td>{}</td>", escape_html(t.to), escape_html(t.method));
    put_number(static_cast<double>(t.bytes), format_size(t.bytes), out);
    put_number(t.bits_per_weight, format_bits(t.bits_per_weight), out);
    put_number(t.relative_rms, format_number(t.relative_rms), out);
    put_number(t.expected_kl, format_number(t.expected_kl), out);
    put(out, "<td class=\"why\">{}</td></tr>\n", escape_html(t.why));
  }
  *out += "</tbody></table></div></details></section>\n";
}

}  // namespace pare

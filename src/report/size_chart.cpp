#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/html_parts.h"

namespace pare {
namespace {

// The plot's corners in the picture's units (CSS pixels at full size).
constexpr double kWidth = 680, kHeight = 340;
constexpr double kLeft = 64, kRight = 664, kTop = 20, kBottom = 288;
constexpr double kLabelHeight = 17, kCharacter = 6.9;

struct Point {
  double size = 0.0, kl = 0.0, error = 0.0;
  std::string label, kind;
};

// A step of 1, 2 or 5 times a power of ten that gives at most `count` steps up to `end`.
double nice_step(double end, int count) {
  const double raw = end / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (double m : {1.0, 2.0, 5.0}) {
    if (m * power >= raw * 0.999) return m * power;
  }
  return 10.0 * power;
}

std::vector<Point> points_of(const Report& report) {
  std::vector<Point> points;
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const ReportRow& row = report.rows[i];
    const bool is_original = i == 0 && !row.eval.compared;
    if (!is_original && !(row.measured && row.eval.compared)) continue;
    if (!std::isfinite(row.eval.mean_kl.value)) continue;
    Point p;
    p.size = static_cast<double>(row.bytes);
    p.kl = is_original ? 0.0 : row.eval.mean_kl.value;
    p.error = std::isfinite(row.eval.mean_kl.error) ? row.eval.mean_kl.error : 0.0;
    p.label = row.label;
    p.kind = is_original ? "original" : i + 1 == report.rows.size() ? "ours" : "rival";
    points.push_back(p);
  }
  return points;
}

// Labels stand beside their points; one that would cover another moves down.
class Labels {
 public:
  double place(double x, double y, double width, bool left) {
    const double begin = left ? x - width : x, end = left ? x : x + width;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Box& b : boxes_) {
        if (begin < b.end && b.begin < end && std::fabs(y - b.y) < kLabelHeight) {
          y = b.y + kLabelHeight;
          moved = true;
        }
      }
    }
    boxes_.push_back({begin, end, y});
    return y;
  }

 private:
  struct Box {
    double begin, end, y;
  };
  std::vector<Box> boxes_;
};

}  // namespace

void put_size_chart(const Report& report, std::string* out) {
  std::vector<Point> points = points_of(report);
  double most_size = static_cast<double>(report.budget_bytes), most_kl = 0.0;
  bool any = false;
  for (const Point& p : points) {
    most_size = std::max(most_size, p.size);
    most_kl = std::max(most_kl, p.kl + p.error);
    any |= p.kind != "original";
  }
  if (!any || most_size <= 0.0) return;
  if (most_kl <= 0.0) most_kl = 1e-6;
  const double kl_step = nice_step(most_kl * 1.1, 5), size_step = nice_step(most_size * 1.04, 6);
  const double kl_end = std::ceil(most_kl * 1.1 / kl_step) * kl_step, size_end = most_size * 1.06;
  const auto x_of = [&](double size) { return kLeft + (kRight - kLeft) * size / size_end; };
  const auto y_of = [&](double kl) { return kBottom - (kBottom - kTop) * kl / kl_end; };

  put(out,
      "<figure class=\"chart\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Chart of size and divergence\">\n<svg class=\"size\" viewBox=\"0 0 {} {}\" "
      "role=\"img\" aria-label=\"Size of each file against its mean KL divergence from the "
      "original; the numbers stand in the table above\">\n",
      kWidth, kHeight);
  const int kl_digits = std::clamp(static_cast<int>(-std::floor(std::log10(kl_step))), 0, 7);
  for (int i = 0; i * kl_step <= kl_end * 1.001; ++i) {
    const double y = y_of(i * kl_step);
    put(out, "<line class=\"{}\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
        i == 0 ? "axis" : "rule", kLeft, kRight, y, y);
    put(out, "<text class=\"tick end\" x=\"{}\" y=\"{:.1f}\">{:.{}f}</text>\n", kLeft - 8, y + 4,
        i * kl_step, i == 0 ? 0 : kl_digits);
  }
  for (int i = 0; i * size_step <= size_end; ++i) {
    std::string tick = i == 0 ? "0" : format_size(static_cast<uint64_t>(i * size_step));
    if (const size_t zero = tick.find(".0 "); zero != std::string::npos) tick.erase(zero, 2);
    put(out, "<text class=\"tick mid\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x_of(i * size_step),
        kBottom + 20, tick);
  }
  put(out, "<text class=\"name\" x=\"{}\" y=\"{}\">mean KL divergence</text>", kLeft + 6, kTop - 6);
  put(out, "<text class=\"name end\" x=\"{}\" y=\"{}\">file size</text>\n", kRight, kBottom + 42);
  if (report.budget_bytes > 0) {
    const double x = x_of(static_cast<double>(report.budget_bytes));
    put(out, "<line class=\"budget\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>", x, x,
        kTop + 6, kBottom);
    put(out, "<text class=\"tick mid\" x=\"{:.1f}\" y=\"{}\">budget</text>\n",
        std::max(x, kLeft + 130), kTop);
  }
  // The highest first: a label that has to move goes down, past those that stand already.
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return a.kl > b.kl; });
  Labels labels;
  for (const Point& p : points) {
    const double x = x_of(p.size), y = y_of(p.kl);
    const std::string text = p.label.substr(0, 40);
    const double text_width = kCharacter * static_cast<double>(text.size());
    const bool left = x + 14 + text_width > kRight;
    const double label_y = labels.place(left ? x - 12 : x + 12, y + 4, text_width, left);
    put(out, "<g class=\"{}\"><title>{}: {}, mean KL {}</title>", p.kind, escape_html(p.label),
        format_size(static_cast<uint64_t>(p.size)), format_estimate({p.kl, p.error}));
    if (p.error > 0.0 && p.kind != "original") {
      put(out, "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", x, x,
          y_of(std::max(p.kl - p.error, 0.0)), y_of(p.kl + p.error));
    }
    put(out, "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", x, y, p.kind == "ours" ? 7 : 5.5);
    put(out, "<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text></g>\n", left ? "end" : "start",
        left ? x - 12 : x + 12, label_y - (p.kind == "original" ? 8 : 0), escape_html(text));
  }
  *out +=
      "</svg></div>\n<figcaption>Further left is smaller, further down is nearer to the original. "
      "Bars are one standard error.</figcaption></figure>\n";
}

}  // namespace pare

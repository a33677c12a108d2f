// The words and the table that all forms of a report share.
#include <algorithm>
#include <cmath>

#include "report/format.h"

namespace pare {
namespace {

double distance(const ReportRow& a, const ReportRow& b) {
  return std::fabs(static_cast<double>(a.bytes) - static_cast<double>(b.bytes));
}

// The row between the first (the original) and the last (ours) that is nearest to ours in size.
const ReportRow* nearest_rival(const Report& report) {
  const ReportRow* best = nullptr;
  for (size_t i = 1; i + 1 < report.rows.size(); ++i) {
    const ReportRow& row = report.rows[i];
    if (!row.measured || !row.eval.compared) continue;
    if (best == nullptr || distance(row, report.rows.back()) < distance(*best, report.rows.back()))
      best = &row;
  }
  return best;
}

// "38 % less than Q4_K_M (120.4 MB)": what our divergence is beside a rival's.
std::string beside(const ReportRow& ours, const ReportRow& rival) {
  const double theirs = rival.eval.mean_kl.value;
  if (!(theirs > 0.0)) return {};
  const double ratio = ours.eval.mean_kl.value / theirs;
  const std::string name = fmt::format("{} at {}", rival.label, format_size(rival.bytes));
  // Within two standard errors of each other the honest word is "like".
  const double noise = 2.0 * std::hypot(ours.eval.mean_kl.error, rival.eval.mean_kl.error);
  if (std::fabs(ours.eval.mean_kl.value - theirs) <= noise) {
    return fmt::format(", like {} ({:.4f})", name, theirs);
  }
  if (ratio < 1.0) return fmt::format(", {:.0f} % less than {}", 100.0 * (1.0 - ratio), name);
  return fmt::format(", {:.0f} % more than {}", 100.0 * (ratio - 1.0), name);
}

}  // namespace

Headline make_headline(const Report& report) {
  Headline headline;
  const std::string& model = report.model.empty() ? "The model" : report.model;
  if (report.rows.empty()) return {fmt::format("{}: nothing was measured", model), ""};
  const ReportRow& original = report.rows.front();
  const ReportRow& ours = report.rows.back();
  const bool compared = ours.measured && ours.eval.compared;
  if (report.rows.size() == 1 || ours.bytes == 0 || original.bytes == 0) {
    return {fmt::format("{} in {}", model, format_size(ours.bytes)), ""};
  }
  const double factor = static_cast<double>(original.bytes) / static_cast<double>(ours.bytes);
  headline.achieved =
      factor >= 1.0 ? fmt::format("{} is {:.{}f} times smaller", model, factor, factor < 10 ? 2 : 1)
                    : fmt::format("{} is {:.2f} times its size", model, 1.0 / factor);
  if (compared) {
    headline.achieved += fmt::format(" and predicts the same next token {:.1f} % of the time",
                                     100.0 * ours.eval.same_top1.value);
  }
  headline.detail =
      fmt::format("{} became {}", format_size(original.bytes), format_size(ours.bytes));
  if (report.budget_bytes > 0) {
    // Rounded down: 99.99 % must not read as all of it.
    const double used = std::floor(1e3 * static_cast<double>(ours.bytes) /
                                       static_cast<double>(report.budget_bytes) +
                                   1e-9) /
                        10.0;
    headline.detail +=
        fmt::format(", {:.1f} % of the budget of {}", used, format_size(report.budget_bytes));
  }
  headline.detail += '.';
  if (compared) {
    headline.detail += fmt::format(" The mean KL divergence from the original is {}",
                                   format_estimate(ours.eval.mean_kl));
    if (const ReportRow* rival = nearest_rival(report)) headline.detail += beside(ours, *rival);
    headline.detail += '.';
  }
  return headline;
}

SummaryTable make_summary(const Report& report) {
  SummaryTable table;
  table.header = {"file",   "size",       "bits/weight", "perplexity", "mean KL",
                  "99% KL", "same top-1", "time",        "peak memory"};
  for (const ReportRow& row : report.rows) {
    const bool compared = row.measured && row.eval.compared;
    const std::string nothing(kNothing);
    const EvalResult& e = row.eval;
    const Estimate top1 = {100.0 * e.same_top1.value, 100.0 * e.same_top1.error};
    table.rows.push_back({row.label, format_size(row.bytes), format_bits(row.bits_per_weight),
                          row.measured ? format_estimate(e.perplexity, 4) : nothing,
                          compared ? format_estimate(e.mean_kl) : nothing,
                          compared ? format_number(e.p99_kl) : nothing,
                          compared ? format_estimate(top1, 2) + " %" : nothing,
                          format_duration(row.seconds),
                          row.peak_memory > 0 ? format_size(row.peak_memory) : nothing});
  }
  return table;
}

}  // namespace pare

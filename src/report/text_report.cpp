#include <algorithm>

#include "model/tokenizer/utf8.h"
#include "report/format.h"
#include "report/report.h"

namespace pare {
namespace {

// Columns of a terminal, near enough: one per code point.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
  }));
}

void add_line(const std::vector<std::string>& cells, const std::vector<size_t>& widths,
              std::string* out) {
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - width(cells[i]), ' ');
    // The label to the left, numbers to the right.
    *out += i == 0 ? cells[i] + padding : "  " + padding + cells[i];
  }
  *out += '\n';
}

}  // namespace

std::string text_report(const Report& report) {
  const Headline headline = make_headline(report);
  std::string out = printable_text(headline.achieved) + ".\n";
  if (!headline.detail.empty()) out += printable_text(headline.detail) + "\n";

  SummaryTable table = make_summary(report);
  std::vector<size_t> widths;
  for (const std::string& cell : table.header) widths.push_back(width(cell));
  for (auto& row : table.rows) {
    row[0] = printable_text(row[0]);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  out += '\n';
  add_line(table.header, widths, &out);
  for (const auto& row : table.rows) add_line(row, widths, &out);

  const bool samples = std::any_of(report.rows.begin(), report.rows.end(),
                                   [](const ReportRow& row) { return !row.sample.empty(); });
  if (samples) {
    out += "\nWhat each writes after \"" + printable_text(report.prompt) + "\"\n";
    for (size_t i = 0; i < report.rows.size(); ++i) {
      if (report.rows[i].sample.empty()) continue;
      const std::string& label = table.rows[i][0];
      out += "  " + label + std::string(widths[0] - width(label), ' ') + "  " +
             printable_text(report.rows[i].sample) + "\n";
    }
  }
  if (!report.proof.empty()) out += "\nProof\n";
  for (const std::string& line : report.proof) out += "  " + printable_text(line) + "\n";
  return out;
}

}  // namespace pare

#include <algorithm>

#include "report/format.h"
#include "report/html_parts.h"

namespace pare {
namespace {

void put_tile(std::string_view name, const std::string& value, const std::string& note,
              std::string* out) {
  put(out, "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", name, escape_html(value),
      escape_html(note));
}

// The four numbers that most readers came for.
void put_tiles(const Report& report, std::string* out) {
  if (report.rows.empty()) return;
  const ReportRow& ours = report.rows.back();
  const ReportRow& original = report.rows.front();
  const bool compared = ours.measured && ours.eval.compared;
  *out += "<dl class=\"tiles\">\n";
  put_tile("Size", format_size(ours.bytes), "was " + format_size(original.bytes), out);
  put_tile("Bits per weight", format_bits(ours.bits_per_weight),
           "was " + format_bits(original.bits_per_weight), out);
  if (compared) {
    const std::string kl = format_estimate(ours.eval.mean_kl);
    const size_t error = kl.find(" ± ");
    put_tile("Mean KL divergence", kl.substr(0, error),
             error == std::string::npos ? "" : kl.substr(error + 1), out);
    put_tile("Perplexity", format_estimate({ours.eval.perplexity.value, 0.0}, 3),
             "was " + format_estimate({ours.eval.baseline_perplexity.value, 0.0}, 3), out);
  } else if (ours.measured) {
    put_tile("Perplexity", format_estimate({ours.eval.perplexity.value, 0.0}, 3), "", out);
  }
  *out += "</dl>\n";
}

void put_summary(const Report& report, std::string* out) {
  const SummaryTable table = make_summary(report);
  *out +=
      "<section aria-labelledby=\"results\"><h2 id=\"results\">Measured</h2>\n<div "
      "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of results\">"
      "<table class=\"summary\"><thead><tr>";
  for (size_t i = 0; i < table.header.size(); ++i) {
    put(out, "<th scope=\"col\"{}>{}</th>", i == 0 ? "" : " class=\"n\"", table.header[i]);
  }
  *out += "</tr></thead><tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const ReportRow& row = report.rows[r];
    put(out, "<tr{}><th scope=\"row\" title=\"{}\"><bdi>{}</bdi></th>",
        r > 0 && r + 1 == table.rows.size() ? " class=\"ours\"" : "", escape_html(row.file),
        escape_html(row.label));
    for (size_t i = 1; i < table.rows[r].size(); ++i) {
      const std::string exact = i == 1 ? fmt::format(" title=\"{} bytes\"", row.bytes) : "";
      // The error is smaller print than the number.
      std::string cell = table.rows[r][i];
      if (const size_t at = cell.find(" ± "); at != std::string::npos) {
        cell = cell.substr(0, at) + " <small>" + cell.substr(at + 1) + "</small>";
      }
      put(out, "<td class=\"n\"{}>{}</td>", exact, cell);
    }
    *out += "</tr>\n";
  }
  *out += "</tbody></table></div>\n";
  put_size_chart(report, out);
  *out += "</section>\n";
}

void put_layers(const Report& report, const BitsScale& scale, std::string* out) {
  const bool any = std::any_of(report.tensors.begin(), report.tensors.end(), is_matrix);
  if (!any) return;
  *out +=
      "<section aria-labelledby=\"layers\"><h2 id=\"layers\">Where the bits went</h2>\n"
      "<p>Every matrix of the model, coloured and labelled by its bits per weight.</p>\n";
  put_type_legend(report, scale, out);
  put_layer_map(report, scale, out);
  put_outside_strip(report, scale, out);
  *out += "</section>\n";
}

void put_samples(const Report& report, std::string* out) {
  const bool any = std::any_of(report.rows.begin(), report.rows.end(),
                               [](const ReportRow& row) { return !row.sample.empty(); });
  if (!any) return;
  *out += "<section aria-labelledby=\"text\"><h2 id=\"text\">What each writes</h2>\n";
  if (!report.prompt.empty()) {
    put(out, "<p>After the same words, always taking the likeliest next token: <q>{}</q></p>\n",
        escape_html(report.prompt));
  }
  *out += "<div class=\"samples\">\n";
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const ReportRow& row = report.rows[i];
    if (row.sample.empty()) continue;
    put(out,
        "<figure{}><figcaption><bdi>{}</bdi><span>{}</span></figcaption><blockquote "
        "dir=\"auto\">{}</blockquote></figure>\n",
        i > 0 && i + 1 == report.rows.size() ? " class=\"ours\"" : "", escape_html(row.label),
        format_size(row.bytes), escape_html(row.sample));
  }
  *out += "</div></section>\n";
}

void put_fact(std::string_view name, const std::string& text, bool code, std::string* out) {
  if (text.empty()) return;
  put(out, "<div><dt>{}</dt><dd>{}{}{}</dd></div>\n", name, code ? "<code>" : "", escape_html(text),
      code ? "</code>" : "");
}

void put_proof(const Report& report, std::string* out) {
  if (!report.proof.empty()) {
    *out +=
        "<section aria-labelledby=\"proof\"><h2 id=\"proof\">Proof</h2>\n<ul class=\"proof\">\n";
    for (const std::string& line : report.proof) put(out, "<li>{}</li>\n", escape_html(line));
    *out += "</ul></section>\n";
  }
  *out +=
      "<section aria-labelledby=\"how\"><h2 id=\"how\">How it was made</h2>\n<dl "
      "class=\"facts\">\n";
  put_fact("Command", report.command, true, out);
  put_fact("Calibration", report.calibration, false, out);
  put_fact("Evaluation", report.evaluation, false, out);
  put_fact("Architecture", report.arch, false, out);
  put_fact("Version", report.version, false, out);
  put_fact("Date", report.date, false, out);
  *out += "</dl></section>\n";
}

}  // namespace

std::string html_report(const Report& report) {
  const Headline headline = make_headline(report);
  const BitsScale scale(report.tensors);
  std::string out;
  put(&out,
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<title>{} - pare</title>\n<style>\n",
      escape_html(report.model.empty() ? "Report" : report.model));
  out += kReportStyle;
  put(&out, "</style></head>\n<body><header><div class=\"wrap\"><p class=\"eyebrow\">pare {}</p>\n",
      escape_html(report.version));
  put(&out, "<h1>{}.</h1>\n", escape_html(headline.achieved));
  if (!headline.detail.empty()) {
    put(&out, "<p class=\"lede\">{}</p>\n", escape_html(headline.detail));
  }
  put_tiles(report, &out);
  out += "</div></header>\n<main class=\"wrap\">\n";
  put_summary(report, &out);
  put_layers(report, scale, &out);
  put_samples(report, &out);
  put_proof(report, &out);
  put_tensor_table(report, scale, &out);
  out += "</main>\n<script>";
  out += kReportScript;
  out += "</script></body></html>\n";
  return out;
}

}  // namespace pare

#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/format.h"

namespace pare {
namespace {

using testing::HasSubstr;
using testing::Not;

ReportTensor matrix(std::string name, std::string role, int block, double bits) {
  ReportTensor t;
  t.name = std::move(name);
  t.role = std::move(role);
  t.block = block;
  t.shape = "[64, 32]";
  t.from = "BF16";
  t.to = fmt::format("T{:.2f}", bits);
  t.method = "rtn";
  t.bytes = static_cast<uint64_t>(64 * 32 * bits / 8);
  t.bits_per_weight = bits;
  t.relative_rms = 0.05;
  return t;
}

ReportRow row(std::string label, uint64_t bytes, double kl, bool compared = true) {
  ReportRow r;
  r.label = std::move(label);
  r.bytes = bytes;
  r.bits_per_weight = 4.5;
  r.measured = true;
  r.eval.compared = compared;
  r.eval.perplexity = {18.0, 0.2};
  r.eval.mean_kl = {kl, kl * 0.01};
  r.eval.same_top1 = {0.912, 0.002};
  return r;
}

Report plain() {
  Report report;
  report.model = "tiny";
  report.budget_bytes = 91'000'000;
  report.rows = {row("original", 270'000'000, 0.0, false), row("Q4_K_S", 90'100'000, 0.05),
                 row("Q5_K_S", 110'000'000, 0.01), row("ours", 90'000'000, 0.03)};
  for (int b = 0; b < 3; ++b) {
    report.tensors.push_back(matrix(fmt::format("blk.{}.attn_q.weight", b), "attn_q", b, 4.5));
    report.tensors.push_back(matrix(fmt::format("blk.{}.attn_v.weight", b), "attn_v", b, 6.5));
  }
  report.tensors.push_back(matrix("token_embd.weight", "token_embd", -1, 6.5));
  return report;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Format, Sizes) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(999), "999 B");
  EXPECT_EQ(format_size(1000), "1.00 kB");
  EXPECT_EQ(format_size(89'987'424), "90.0 MB");
  EXPECT_EQ(format_size(999'949), "999.9 kB");
  EXPECT_EQ(format_size(999'950), "1.00 MB");  // not "1000.0 kB"
  EXPECT_EQ(format_size(1'234'000'000), "1.23 GB");
  EXPECT_EQ(format_size(UINT64_MAX), "18.4 EB");
}

TEST(Format, Durations) {
  EXPECT_EQ(format_duration(0.0), kNothing);
  EXPECT_EQ(format_duration(NAN), kNothing);
  EXPECT_EQ(format_duration(1.26), "1.3 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(125.0), "2 min 05 s");
  EXPECT_EQ(format_duration(3725.0), "1 h 02 min");
}

TEST(Format, TheErrorDecidesHowManyDigitsAreShown) {
  EXPECT_EQ(format_estimate({0.0123456, 0.000213}), "0.01235 ± 0.00021");
  EXPECT_EQ(format_estimate({18.123456, 0.31}), "18.12 ± 0.31");
  EXPECT_EQ(format_estimate({1234.5, 31.0}), "1234 ± 31");
  EXPECT_EQ(format_estimate({0.0123456, 0.0}), "0.01235");
  EXPECT_EQ(format_estimate({NAN, 0.1}), kNothing);
  EXPECT_EQ(format_estimate({2.0, NAN}), "2.000");
  EXPECT_EQ(format_number(INFINITY), kNothing);
  EXPECT_EQ(format_number(0.0), "0");
}

TEST(Format, TextFromFilesCannotActOnTheReader) {
  EXPECT_EQ(escape_html("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(printable_text("a\nb\tc"), "a b c");
  // A terminal's escape, a direction override, a NUL and a byte that is not UTF-8.
  EXPECT_EQ(printable_text(std::string_view("\x1b[2J\u202ex\0\xff", 10)),
            "\ufffd[2J\ufffdx\ufffd\ufffd");
  EXPECT_EQ(printable_text("Größe 中 👩‍💻"), "Größe 中 👩‍💻");
}

TEST(Headline, SaysWhatWasAchievedAndAgainstTheRowNearestInSize) {
  const Headline h = make_headline(plain());
  EXPECT_EQ(h.achieved,
            "tiny is 3.00 times smaller and predicts the same next token 91.2 % of the time");
  EXPECT_THAT(h.detail, HasSubstr("98.9 % of the budget of 91.0 MB"));
  EXPECT_THAT(h.detail, HasSubstr("0.03000 ± 0.00030, 40 % less than Q4_K_S at 90.1 MB"));
}

TEST(Headline, DoesNotBoastOfWhatIsWorseOrNoise) {
  Report report = plain();
  report.rows[1].eval.mean_kl = {0.02, 0.0002};
  EXPECT_THAT(make_headline(report).detail, HasSubstr("50 % more than Q4_K_S"));
  report.rows[1].eval.mean_kl = {0.0301, 0.0002};
  EXPECT_THAT(make_headline(report).detail, HasSubstr(", like Q4_K_S"));
  report.budget_bytes = 90'000'001;
  EXPECT_THAT(make_headline(report).detail, HasSubstr("99.9 % of the budget"));
}

TEST(HtmlReport, HasARectangleForEveryMatrixInABlock) {
  Report report = plain();
  report.tensors.push_back(matrix("blk.0.attn_norm.weight", "attn_norm", 0, 32.0));
  report.tensors.back().shape = "[64]";
  const std::string page = html_report(report);
  EXPECT_EQ(count(page, "<g><title>blk."), 6u);
  EXPECT_EQ(count(page, ": T6.50, 6.50 bits/weight"), 3u);
  EXPECT_THAT(page, HasSubstr("relative error of each block"));
  EXPECT_THAT(page, HasSubstr("<b><bdi>token_embd.weight</bdi></b>"));
  EXPECT_EQ(count(page, "<th scope=\"row\" title=\"role "), 8u);
  report.tensors[0].expected_kl = 0.001;
  EXPECT_THAT(html_report(report), HasSubstr("expected KL of each block"));
}

TEST(HtmlReport, ShowsEveryComparedRowInTheChart) {
  const std::string page = html_report(plain());
  EXPECT_EQ(count(page, "<circle "), 4u);
  EXPECT_EQ(count(page, "<g class=\"ours\"><title>ours"), 1u);
  Report alone = plain();
  alone.rows = {row("original", 1000, 0.0, false)};
  EXPECT_EQ(count(html_report(alone), "<circle "), 0u);
}

TEST(HtmlReport, EscapesEverythingThatCameFromFiles) {
  const std::string evil = "\"><script>alert('x')</script>&";
  Report report = plain();
  for (std::string* s : {&report.model, &report.arch, &report.command, &report.version,
                         &report.date, &report.calibration, &report.evaluation, &report.prompt}) {
    *s = evil;
  }
  report.proof = {evil};
  for (ReportRow& r : report.rows) r.label = r.file = r.sample = evil;
  for (ReportTensor& t : report.tensors) {
    t.name = t.role = t.from = t.to = t.method = t.why = evil;
    t.shape = evil + ", 2]";
  }
  const std::string page = html_report(report);
  EXPECT_EQ(count(page, "<script"), 1u);  // our own
  EXPECT_EQ(count(page, "alert('x')"), 0u);
  EXPECT_EQ(count(page, "\"><script"), 0u);
  EXPECT_THAT(page, HasSubstr("&quot;&gt;&lt;script&gt;"));
}

TEST(HtmlReport, NeedsNothingFromElsewhere) {
  const std::string page = html_report(plain());
  for (const char* reference :
       {"http:", "https:", "//cdn", "<link", "<img", " src=", "url(", "@import"}) {
    EXPECT_THAT(page, Not(HasSubstr(reference)));
  }
}

TEST(HtmlReport, WorksFromNothingTo200BlocksAndNumbersThatAreNone) {
  EXPECT_THAT(html_report(Report{}), HasSubstr("nothing was measured"));
  for (int blocks : {1, 200}) {
    Report report = plain();
    report.tensors.clear();
    for (int b = 0; b < blocks; ++b) {
      report.tensors.push_back(matrix("m", "ffn_up", b, 4.5));
      report.tensors.back().relative_rms = b % 2 == 0 ? NAN : INFINITY;
      report.tensors.back().expected_kl = NAN;
    }
    report.rows.back().eval.mean_kl = {NAN, NAN};
    const std::string page = html_report(report);
    EXPECT_EQ(count(page, "<g><title>m"), static_cast<size_t>(blocks));
    EXPECT_THAT(page, Not(HasSubstr("\"nan\"")));
    EXPECT_THAT(page, Not(HasSubstr("\"inf\"")));
  }
}

TEST(HtmlReport, ABlockNumberOfAHostileFileDoesNotFillTheMemory) {
  Report report = plain();
  report.tensors.push_back(matrix("blk.2000000000.attn_q.weight", "attn_q", 2'000'000'000, 4.5));
  EXPECT_LT(html_report(report).size(), 100'000u);
}

TEST(JsonReport, HoldsWhatWasMeasuredAndOnlyThat) {
  const auto json = nlohmann::json::parse(json_report(plain()));
  EXPECT_EQ(json["schema"], 1);
  ASSERT_EQ(json["rows"].size(), 4u);
  EXPECT_EQ(json["rows"][3]["bytes"], 90'000'000);
  EXPECT_EQ(json["rows"][3]["eval"]["mean_kl"]["value"], 0.03);
  EXPECT_FALSE(json["rows"][0]["eval"].contains("mean_kl"));
  EXPECT_FALSE(json["rows"][0].contains("seconds"));
  EXPECT_EQ(json["tensors"][2]["block"], 1);
  EXPECT_FALSE(json["tensors"][6].contains("block"));
}

TEST(JsonReport, StaysJsonWhateverTheNames) {
  Report report = plain();
  report.tensors[0].name = "\xff\"\n\x01";
  report.tensors[0].relative_rms = NAN;
  const auto json = nlohmann::json::parse(json_report(report));
  EXPECT_EQ(json["tensors"][0]["name"], "\ufffd\"\n\x01");
  EXPECT_TRUE(json["tensors"][0]["relative_rms"].is_null());
}

TEST(TextReport, ColumnsAreAligned) {
  Report report = plain();
  report.rows[1].label = "größer\x1b[1m";
  const std::string text = text_report(report);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  std::vector<size_t> widths;
  std::istringstream lines(text);
  bool table = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("file", 0) == 0) table = true;
    if (!table || line.empty()) continue;
    size_t width = 0;
    for (char c : line) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    widths.push_back(width);
  }
  ASSERT_EQ(widths.size(), 5u);
  for (size_t w : widths) EXPECT_EQ(w, widths[0]);
}

}  // namespace
}  // namespace pare

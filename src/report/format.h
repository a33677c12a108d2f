// How reports write numbers, and text that came from files, for people. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "eval/compare.h"
#include "report/report.h"

namespace pare {

inline constexpr std::string_view kNothing = "–";  // in place of a number that there is not

// Sizes are decimal, as budgets are: "89.9 MB", "1.23 GB"; 0 bytes is "0 B".
std::string format_size(uint64_t bytes);
// "24.1 s", "2 min 05 s", "1 h 02 min"; kNothing for 0.
std::string format_duration(double seconds);
// Two significant digits of the error decide how many digits are shown, at most `max_digits`
// after the point: "0.01234 ± 0.00021". Without an error: four significant digits.
std::string format_estimate(const Estimate& e, int max_digits = 6);
// Four significant digits, no exponent down to 1e-6; kNothing if not finite.
std::string format_number(double value);
// "98.1 %" of a share.
std::string format_share(double share);
std::string format_bits(double bits_per_weight);  // "4.84"; kNothing for 0

// Valid UTF-8 without control characters and without those that turn the direction of text:
// what a terminal would obey, or what would make a name look like another one. Such characters
// become U+FFFD; tabs and line ends become spaces.
std::string printable_text(std::string_view text);
// printable_text with the characters that mean something in HTML escaped: safe between tags and
// inside quoted attributes.
std::string escape_html(std::string_view text);

// What a report says in one sentence, and in a second one how it compares with the row nearest
// in size. Plain text, from files: to be escaped.
struct Headline {
  std::string achieved, detail;
};
Headline make_headline(const Report& report);

// The cells of the table of rows, as text; `header` has the same number.
struct SummaryTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
SummaryTable make_summary(const Report& report);

// Weights of a tensor, from its bytes and bits per weight.
double weights_of(const ReportTensor& tensor);
// A matrix has two dimensions or more: "[576, 1536]".
bool is_matrix(const ReportTensor& tensor);

}  // namespace pare

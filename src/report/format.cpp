#include "report/format.h"

#include <algorithm>
#include <cmath>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// Digits after the point that show `significant` digits of `value`.
int digits_for(double value, int significant, int most) {
  if (!(value > 0.0) || !std::isfinite(value)) return std::min(significant, most);
  const int leading = static_cast<int>(std::floor(std::log10(value)));
  return std::clamp(significant - 1 - leading, 0, most);
}

bool is_hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200b || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

}  // namespace

std::string format_size(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1e3;
  size_t unit = 0;
  for (; value >= 999.95 && unit < 5; ++unit) value /= 1e3;
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : 1, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (!(seconds > 0.0) || seconds > 1e9) return std::string(kNothing);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return std::string(kNothing);
  if (value == 0.0) return "0";
  return fmt::format("{:.{}f}", value, digits_for(std::fabs(value), 4, 6));
}

std::string format_estimate(const Estimate& e, int max_digits) {
  if (!std::isfinite(e.value)) return std::string(kNothing);
  if (!(e.error > 0.0) || !std::isfinite(e.error)) {
    return fmt::format("{:.{}f}", e.value, digits_for(std::fabs(e.value), 4, max_digits));
  }
  const int digits = digits_for(e.error, 2, max_digits);
  return fmt::format("{:.{}f} ± {:.{}f}", e.value, digits, e.error, digits);
}

std::string format_share(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100.0 * share) : std::string(kNothing);
}

std::string format_bits(double bits) {
  return bits > 0.0 && std::isfinite(bits) ? fmt::format("{:.2f}", bits) : std::string(kNothing);
}

std::string printable_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    at += c.size;
    if (c.value == '\n' || c.value == '\t' || c.value == '\r') {
      out += ' ';
    } else {
      append_utf8(is_hidden(c.value) ? kReplacementCharacter : c.value, &out);
    }
  }
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : printable_text(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

double weights_of(const ReportTensor& t) {
  return t.bits_per_weight > 0.0 ? 8.0 * static_cast<double>(t.bytes) / t.bits_per_weight : 0.0;
}

bool is_matrix(const ReportTensor& t) { return t.shape.find(',') != std::string::npos; }

}  // namespace pare

#include "model/tokenizer/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

struct Range {
  char32_t first, last;
};

// Characters of Unicode 10 to 15 that are combining or that have a decomposition.
constexpr Range kLaterThanUnicode9[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x107ba}, {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e030, 0x1e06d},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

// True for characters that stand apart: nothing moves or composes across them.
bool stands_apart(char32_t c) {
  // No consonant, only the base from which the trailing ones are counted; releases of utf8proc
  // before 2.9 compose it all the same.
  if (c == 0x11a7) return true;
  const auto* range = std::lower_bound(std::begin(kLaterThanUnicode9), std::end(kLaterThanUnicode9),
                                       c, [](const Range& r, char32_t v) { return r.last < v; });
  return range != std::end(kLaterThanUnicode9) && c >= range->first;
}

Status append_form(std::string_view text, int options, std::string* out) {
  if (is_ascii(text)) {
    *out += text;
    return {};
  }
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                             static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(mapped, std::free);
  if (size < 0) return internal_error("Unicode normalization failed: {}", utf8proc_errmsg(size));
  out->append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  return {};
}

}  // namespace

Result<std::string> to_unicode_form(std::string_view text, const UnicodeForm& form) {
  if (text.size() > kMaxBytes) {
    return invalid_argument("a text of {} bytes to normalize: expected at most {}", text.size(),
                            kMaxBytes);
  }
  int options = UTF8PROC_STABLE | (form.compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (form.compatibility) options |= UTF8PROC_COMPAT;
  std::string out;
  out.reserve(text.size());
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (stands_apart(c.value)) {
      PARE_RETURN_IF_ERROR(append_form(text.substr(begin, i - begin), options, &out));
      out += text.substr(i, c.size);
      begin = i + c.size;
    }
    i += c.size;
  }
  PARE_RETURN_IF_ERROR(append_form(text.substr(begin), options, &out));
  return out;
}

}  // namespace pare

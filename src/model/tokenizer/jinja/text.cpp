#include "model/tokenizer/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "model/tokenizer/utf8.h"

namespace pare::jinja {
namespace {

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_letter(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}

bool is_cased(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

char32_t upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t title(char32_t c) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}
char32_t lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

void append_upper(char32_t c, std::string* out) {
  if (c == 0xdf) {  // the one common letter whose upper case is longer
    *out += "SS";
  } else {
    append_utf8(upper(c), out);
  }
}

template <typename Function>
std::string map(std::string_view text, Function function) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    i += c.size;
    function(c.value, &out);
  }
  return out;
}

template <typename Predicate>
bool all(std::string_view text, Predicate predicate) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (!predicate(c.value)) return false;
    i += c.size;
  }
  return !text.empty();
}

std::vector<std::string> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string> parts;
  text = strip(text, "", true, false);
  while (!text.empty()) {
    size_t end = 0;
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text, end);
      if (is_space(c.value)) break;
      end += c.size;
    }
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.emplace_back(text);
      break;
    }
    parts.emplace_back(text.substr(0, end));
    text = strip(text.substr(end), "", true, false);
  }
  return parts;
}

}  // namespace

std::vector<std::string_view> split_characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    out.push_back(text.substr(i, decode_utf8(text, i).size));
    i += out.back().size();
  }
  return out;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string to_upper(std::string_view text) { return map(text, append_upper); }

std::string to_lower(std::string_view text) {
  return map(text, [](char32_t c, std::string* out) { append_utf8(lower(c), out); });
}

std::string capitalized(std::string_view text) {
  bool first = true;
  return map(text, [&](char32_t c, std::string* out) {
    append_utf8(first ? title(c) : lower(c), out);
    first = false;
  });
}

std::string title_by_letters(std::string_view text) {
  bool inside = false;
  return map(text, [&](char32_t c, std::string* out) {
    append_utf8(inside ? lower(c) : title(c), out);
    inside = is_cased(c);
  });
}

std::string title_by_separators(std::string_view text) {
  bool first = true;
  return map(text, [&](char32_t c, std::string* out) {
    append_utf8(first ? upper(c) : lower(c), out);
    first = is_space(c) ||
            (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string::npos);
  });
}

std::string_view strip(std::string_view text, std::string_view which, bool left, bool right) {
  const auto goes = [&](std::string_view character) {
    if (which.empty()) return is_space(decode_utf8(character, 0).value);
    for (std::string_view w : split_characters(which)) {
      if (w == character) return true;
    }
    return false;
  };
  while (left && !text.empty()) {
    const size_t size = decode_utf8(text, 0).size;
    if (!goes(text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  while (right && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xc0) == 0x80) --begin;
    if (!goes(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit) {
  if (separator.empty()) return split_space(text, limit);
  std::vector<std::string> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = text.find(separator, begin);
    if (at == std::string_view::npos) break;
    parts.emplace_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

std::vector<std::string> split_from_right(std::string_view text, std::string_view separator,
                                          int64_t limit) {
  std::vector<std::string> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.emplace_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.emplace_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    size_t end = text.find_first_of("\r\n");
    if (end == std::string_view::npos) end = text.size();
    const size_t mark = text.substr(end, 2) == "\r\n" ? 2 : end < text.size() ? 1 : 0;
    lines.emplace_back(text.substr(0, end + (keep_ends ? mark : 0)));
    text.remove_prefix(end + mark);
  }
  return lines;
}

bool replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit,
             size_t max_bytes, std::string* out) {
  out->clear();
  int64_t done = 0;
  size_t at = 0;
  while (limit < 0 || done < limit) {
    // An empty `from` is found before every character, and at the end.
    const size_t found = from.empty() ? at : text.find(from, at);
    if (found == std::string_view::npos || found > text.size()) break;
    *out += text.substr(at, found - at);
    *out += to;
    if (out->size() > max_bytes) return false;
    ++done;
    at = found + from.size();
    if (!from.empty()) continue;
    if (at == text.size()) return true;
    const size_t size = decode_utf8(text, at).size;
    *out += text.substr(at, size);
    at += size;
  }
  *out += text.substr(at);
  return out->size() <= max_bytes;
}

bool all_digits(std::string_view text) { return all(text, is_digit); }
bool all_letters(std::string_view text) { return all(text, is_letter); }
bool all_letters_or_digits(std::string_view text) {
  return all(text, [](char32_t c) { return is_letter(c) || is_digit(c); });
}
bool all_space(std::string_view text) { return all(text, is_space); }

}  // namespace pare::jinja

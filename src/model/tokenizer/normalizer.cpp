#include "model/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

template <typename Function>
std::string for_each_code_point(std::string_view text, Function function) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    i += c.size;
    function(c.value, &out);
  }
  return out;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

std::string to_lower(std::string_view text) {
  return for_each_code_point(text, [](char32_t c, std::string* out) {
    if (c == 0x130) {  // the one letter whose full lower case is longer than one code point
      *out += "i\xcc\x87";
    } else {
      append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
    }
  });
}

std::string without_marks(std::string_view text) {
  return for_each_code_point(text, [](char32_t c, std::string* out) {
    if (category(c) != UTF8PROC_CATEGORY_MN) append_utf8(c, out);
  });
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x85 || category(c) == UTF8PROC_CATEGORY_ZS ||
         category(c) == UTF8PROC_CATEGORY_ZL || category(c) == UTF8PROC_CATEGORY_ZP;
}

std::string stripped(std::string_view text, const StripSpace& strip) {
  size_t begin = text.size();
  size_t end = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (!is_space(c.value)) {
      begin = std::min(begin, i);
      end = i + c.size;
    }
    i += c.size;
  }
  if (begin == text.size()) return {};
  if (!strip.left) begin = 0;
  if (!strip.right) end = text.size();
  return std::string(text.substr(begin, end - begin));
}

bool is_chinese(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

bool is_control(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

Result<std::string> bert_clean(std::string_view text, const BertClean& options) {
  std::string out = for_each_code_point(text, [&](char32_t c, std::string* to) {
    if (options.clean_text) {
      if (c == 0 || c == kReplacementCharacter || is_control(c)) return;
      if (is_space(c)) c = ' ';
    }
    const bool apart = options.handle_chinese && is_chinese(c);
    if (apart) *to += ' ';
    append_utf8(c, to);
    if (apart) *to += ' ';
  });
  if (options.strip_accents) {
    PARE_ASSIGN_OR_RETURN(out, to_unicode_form(out, {.compose = false}));
    out = without_marks(out);
  }
  return options.lowercase ? to_lower(out) : out;
}

Result<std::string> replaced(std::string_view text, const ReplaceText& replace) {
  std::vector<TextRange> matches;
  PARE_RETURN_IF_ERROR(replace.regex.find_all(text, &matches));
  std::string out;
  size_t at = 0;
  for (const TextRange& m : matches) {
    out += text.substr(at, m.begin - at);
    out += replace.replacement;
    at = m.end;
  }
  out += text.substr(at);
  return out;
}

struct Apply {
  const std::string& text;
  Result<std::string> operator()(const UnicodeForm& form) const {
    return to_unicode_form(text, form);
  }
  Result<std::string> operator()(const PrependText& p) const {
    return text.empty() ? text : p.text + text;
  }
  Result<std::string> operator()(const ReplaceText& replace) const {
    return replaced(text, replace);
  }
  Result<std::string> operator()(const StripSpace& strip) const { return stripped(text, strip); }
  Result<std::string> operator()(const Lowercase&) const { return to_lower(text); }
  Result<std::string> operator()(const StripAccents&) const { return without_marks(text); }
  Result<std::string> operator()(const BertClean& options) const {
    return bert_clean(text, options);
  }
};

}  // namespace

Result<std::string> Normalizer::apply(std::string_view text) const {
  std::string out(text);
  for (const NormalizerStep& step : steps_) {
    PARE_ASSIGN_OR_RETURN(out, std::visit(Apply{out}, step));
  }
  return out;
}

}  // namespace pare

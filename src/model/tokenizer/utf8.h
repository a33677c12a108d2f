// UTF-8, one code point at a time. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pare {

inline constexpr char32_t kReplacementCharacter = 0xfffd;

struct CodePoint {
  char32_t value = kReplacementCharacter;
  size_t size = 1;     // bytes used
  bool valid = false;  // false: not UTF-8 here; value is U+FFFD and size is 1
};

// The code point at text[offset]; offset < text.size(). Overlong forms, surrogates and values
// beyond U+10FFFF are invalid.
CodePoint decode_utf8(std::string_view text, size_t offset);

void append_utf8(char32_t value, std::string* out);

bool is_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

}  // namespace pare

#include "codecs/codec.h"

#include <algorithm>
#include <cctype>

#include "base/check.h"

namespace pare {

const Codec& codec(CodecId id) {
  for (const Codec& c : all_codecs()) {
    if (c.id == id) return c;
  }
  check_failed(__FILE__, __LINE__, "codec(id)", "codec is not in the table");
}

const Codec* find_codec(std::string_view name) {
  const auto same = [&](const char* other) {
    const std::string_view o = other;
    return o.size() == name.size() &&
           std::equal(o.begin(), o.end(), name.begin(), [](unsigned char a, unsigned char b) {
             return std::tolower(a) == std::tolower(b);
           });
  };
  for (const Codec& c : all_codecs()) {
    if (same(c.name)) return &c;
  }
  return nullptr;
}

const Codec* find_codec_by_gguf_type(int gguf_type) {
  for (const Codec& c : all_codecs()) {
    if (c.gguf_type >= 0 && c.gguf_type == gguf_type) return &c;
  }
  return nullptr;
}

}  // namespace pare

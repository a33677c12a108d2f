// A 64-bit content hash (FNV-1a over 8-byte words with a
// SplitMix finaliser): identifies inputs in provenance records and journals. Not
// cryptographic: it guards against mistakes, not against attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace pare {

class Hasher {
 public:
  void add(std::span<const std::byte> bytes) {
    const std::byte* p = bytes.data();
    size_t n = bytes.size();
    for (; n >= 8; p += 8, n -= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      mix(word);
    }
    uint64_t tail = n;
    for (size_t i = 0; i < n; ++i) tail = (tail << 8) | static_cast<uint64_t>(p[i]);
    mix(tail);
  }
  void add(uint64_t value) { mix(value); }
  void add_text(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  uint64_t digest() const {
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 16 lower-case hexadecimal digits.
  std::string hex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text(16, '0');
    uint64_t d = digest();
    for (int i = 15; i >= 0; --i, d >>= 4) text[static_cast<size_t>(i)] = kDigits[d & 15];
    return text;
  }

 private:
  void mix(uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3u;
    state_ ^= state_ >> 29;
  }
  uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace pare

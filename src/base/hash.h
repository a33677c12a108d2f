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
  // One field: its length is part of the hash.
  void add(std::span<const std::byte> bytes) {
    add_piece(bytes);
    end_field();
  }
  // A piece of a field: how a stream is cut into pieces does not matter.
  void add_piece(std::span<const std::byte> bytes) {
    length_ += bytes.size();
    const std::byte* p = bytes.data();
    size_t n = bytes.size();
    for (; n > 0 && pending_ > 0; ++p, --n) push(*p);
    for (; n >= 8; p += 8, n -= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      mix(word);
    }
    for (; n > 0; ++p, --n) push(*p);
  }
  void add(uint64_t value) { mix(value); }
  void add_text(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  uint64_t digest() {
    flush();
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 16 lower-case hexadecimal digits.
  std::string hex() {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text(16, '0');
    uint64_t d = digest();
    for (int i = 15; i >= 0; --i, d >>= 4) text[static_cast<size_t>(i)] = kDigits[d & 15];
    return text;
  }

 private:
  void push(std::byte b) {
    word_ |= static_cast<uint64_t>(b) << (8 * pending_);
    if (++pending_ == 8) {
      mix(word_);
      word_ = 0;
      pending_ = 0;
    }
  }
  void flush() {
    if (length_ > 0) end_field();
  }
  void end_field() {
    if (pending_ > 0) mix(word_);
    mix(length_);
    word_ = 0;
    pending_ = 0;
    length_ = 0;
  }
  void mix(uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3u;
    state_ ^= state_ >> 29;
  }
  uint64_t state_ = 0xcbf29ce484222325u;
  uint64_t word_ = 0, length_ = 0;
  int pending_ = 0;
};

}  // namespace pare

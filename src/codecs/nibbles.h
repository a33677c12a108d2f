// 32 codes as 16 bytes of nibbles, and their fifth bits as one 32-bit word: the body of the
// 32-column formats. Byte j holds column j (low nibble) and column j + 16.
#pragma once

#include "codecs/block_bytes.h"

namespace pare {

inline void load_nibbles(const std::byte* in, int8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    const uint8_t byte = load_u8(in + j);
    codes[j] = static_cast<int8_t>(byte & 15);
    codes[j + 16] = static_cast<int8_t>(byte >> 4);
  }
}

// Stores the low four bits of levels[i] + bias.
inline void store_nibbles(const int8_t* levels, int bias, std::byte* out) {
  for (int j = 0; j < 16; ++j) {
    const uint32_t low = static_cast<uint32_t>(levels[j] + bias) & 15u;
    const uint32_t high = static_cast<uint32_t>(levels[j + 16] + bias) & 15u;
    store_u8(out + j, low | (high << 4));
  }
}

// Bit i of the word is the fifth bit of column i.
inline void load_fifth_bits(const std::byte* in, int8_t* codes) {
  const uint32_t bits = load_u32(in);
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<int8_t>(codes[i] | ((bits >> i & 1u) << 4));
}

inline void store_fifth_bits(const int8_t* levels, int bias, std::byte* out) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= (static_cast<uint32_t>(levels[i] + bias) >> 4 & 1u) << i;
  store_u32(out, bits);
}

}  // namespace pare

// Unaligned little-endian loads and stores inside a codec's block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace pare {

inline uint8_t load_u8(const std::byte* p) { return std::to_integer<uint8_t>(*p); }
inline int8_t load_i8(const std::byte* p) { return static_cast<int8_t>(load_u8(p)); }
inline uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint32_t load_u32(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline float load_f16(const std::byte* p) { return fp16_to_float(load_u16(p)); }

inline void store_u8(std::byte* p, uint32_t v) { *p = static_cast<std::byte>(v); }
inline void store_u16(std::byte* p, uint16_t v) { std::memcpy(p, &v, sizeof v); }
inline void store_u32(std::byte* p, uint32_t v) { std::memcpy(p, &v, sizeof v); }
inline void store_f16(std::byte* p, float v) { store_u16(p, float_to_fp16(v)); }

}  // namespace pare

// Bytes as the device reads them: aligned loads and arithmetic on four bytes in a word, with the
// same meaning when compiled for the host, so that what is made of them can be tested there.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define PARE_HD __host__ __device__ __forceinline__
#else
#define PARE_HD inline
#endif

namespace pare::cuda {

struct Words4 {
  uint32_t w[4];
};

// Where packed bytes lie: plain pointers are to the device's memory and to what no kernel changes
// while it reads; Near is to a block's shared memory.
struct Near {
  const uint8_t* p;
};
PARE_HD Near operator+(Near a, int64_t n) { return {a.p + n}; }

template <typename T>
PARE_HD T load_as(const uint8_t* p) {
#if defined(__CUDA_ARCH__)
  return __ldg(reinterpret_cast<const T*>(p));
#else
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
#endif
}
template <typename T>
PARE_HD T load_as(Near from) {
#if defined(__CUDA_ARCH__)
  return *reinterpret_cast<const T*>(from.p);
#else
  return load_as<T>(from.p);
#endif
}

// p is a multiple of 16.
template <typename P>
PARE_HD Words4 load16(P p) {
#if defined(__CUDA_ARCH__)
  const uint4 v = load_as<uint4>(p);
  return {{v.x, v.y, v.z, v.w}};
#else
  return load_as<Words4>(p);
#endif
}
// p is a multiple of 8.
template <typename P>
PARE_HD uint64_t load8(P p) {
#if defined(__CUDA_ARCH__)
  const uint2 v = load_as<uint2>(p);
  return v.x | static_cast<uint64_t>(v.y) << 32;
#else
  return load_as<uint64_t>(p);
#endif
}
// p is a multiple of 4, of 2, of 1.
template <typename P>
PARE_HD uint32_t load4(P p) {
  return load_as<uint32_t>(p);
}
template <typename P>
PARE_HD uint32_t load2(P p) {
  return load_as<uint16_t>(p);
}
template <typename P>
PARE_HD uint32_t load1(P p) {
  return load_as<uint8_t>(p);
}

PARE_HD float bits_to_float(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

// IEEE binary16, every value exactly.
PARE_HD float half_to_float(uint32_t h) {
#if defined(__CUDA_ARCH__)
  float value;
  asm("{ .reg .b16 x; cvt.u16.u32 x, %1; cvt.f32.f16 %0, x; }" : "=f"(value) : "r"(h));
  return value;
#else
  const uint32_t sign = (h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 1023u;
  if (exponent == 31) return bits_to_float(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return bits_to_float(sign | (exponent + 112u) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
#endif
}

// Byte i of the result is the byte of b:a (a lowest) that nibble i of `selector` counts off; its
// top bit must be 0.
PARE_HD uint32_t pick_bytes(uint32_t a, uint32_t b, uint32_t selector) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(a, b, selector);
#else
  const uint64_t both = a | static_cast<uint64_t>(b) << 32;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>(both >> (8 * (selector >> (4 * i) & 7u)) & 255u) << (8 * i);
  }
  return result;
#endif
}

// The lowest four bits of x as four bytes of 0 or 1.
PARE_HD uint32_t spread_bits(uint32_t x) { return ((x & 15u) * 0x00204081u) & 0x01010101u; }
// The lowest four pairs of bits of x as four bytes.
PARE_HD uint32_t spread_pairs(uint32_t x) {
  x &= 255u;
  return (x | x << 6 | x << 12 | x << 18) & 0x03030303u;
}

// Four bytes, none of them 0, each negated where its bit of the lowest four of `signs` is set.
PARE_HD uint32_t negate_bytes(uint32_t bytes, uint32_t signs) {
  const uint32_t ones = spread_bits(signs);
  return (bytes ^ ones * 255u) + ones;
}

// The seven low bits of `index` and an eighth that makes the number of set bits even.
PARE_HD uint32_t even_signs(uint32_t index) {
  uint32_t parity = index ^ index >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return (index & 127u) | (parity & 1u) << 7;
}

// A table of 16 bytes, looked up by the nibbles of a word: the low ones of its four bytes, then
// the high ones.
struct Bytes16 {
  uint32_t w[4];
};
PARE_HD void look_up(const Bytes16& table, uint32_t nibbles, uint32_t* low, uint32_t* high) {
  uint32_t part[2];
  for (int i = 0; i < 2; ++i, nibbles >>= 16) {
    const uint32_t index = nibbles & 0x7777u;
    const uint32_t first = pick_bytes(table.w[0], table.w[1], index);
    const uint32_t second = pick_bytes(table.w[2], table.w[3], index);
    part[i] = pick_bytes(first, second, 0x3210u | (nibbles & 0x8888u) >> 1);
  }
  *low = pick_bytes(part[0], part[1], 0x6420u);
  *high = pick_bytes(part[0], part[1], 0x7531u);
}

}  // namespace pare::cuda

// What spans of AVX2 and of AVX-512 share: 256 columns of a quantized row, whose bytes are read by
// parts of layouts. For files that say what instructions there are: PARE_SPAN_TARGET.
#pragma once

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/core.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)
#define PARE_INLINE static inline __attribute__((always_inline))
#define PARE_METHOD inline __attribute__((always_inline))

namespace pare::span {
namespace {

inline constexpr int kSpanColumns = 256;

PARE_INLINE uint64_t load_u64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
PARE_INLINE uint32_t load_u16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
PARE_INLINE uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
PARE_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
PARE_INLINE __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Binary16 numbers at first, first + stride, ...: eight of them.
template <int kStride>
PARE_INLINE __m256 halves(const uint8_t* first) {
  const auto at = [&](int i) { return static_cast<int>(load_u16(first + i * kStride)); };
  __m128i low = _mm_cvtsi32_si128(at(0)), high = _mm_cvtsi32_si128(at(4));
  low = _mm_insert_epi16(low, at(1), 1);
  high = _mm_insert_epi16(high, at(5), 1);
  low = _mm_insert_epi16(low, at(2), 2);
  high = _mm_insert_epi16(high, at(6), 2);
  low = _mm_insert_epi16(low, at(3), 3);
  high = _mm_insert_epi16(high, at(7), 3);
  return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
}
// One of them, eight times.
PARE_INLINE __m256 half(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
PARE_INLINE __m256 negative(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

// factor * codes, eight of them.
PARE_INLINE __m256 scaled(__m256 factor, __m256i codes) {
  return _mm256_mul_ps(factor, _mm256_cvtepi32_ps(codes));
}
PARE_INLINE __m256i spread(uint64_t codes) {
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(codes)));
}

// Scales of IQ4_XS.
PARE_INLINE __m256 load_scales_iq4(const uint8_t* in) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u32(in + 4))),
                                        _mm256_slli_epi32(lane, 2));
  const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u16(in + 2))),
                                         _mm256_slli_epi32(lane, 1));
  const __m256i codes =
      _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                      _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
  return scaled(half(in), _mm256_sub_epi32(codes, _mm256_set1_epi32(32)));
}

// Scales of MXFP4, one byte of a block each: 2^(e - 128), which for e < 2 is not normal.
template <int kBytes>
PARE_INLINE __m256 load_scales_mxfp4(const uint8_t* in) {
  uint64_t exponents = 0;
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) exponents |= uint64_t{in[g * kBytes]} << (8 * g);
  const __m256i e = spread(exponents);
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
  const __m256i is_tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, tiny, is_tiny));
}

// Scales and offsets of Q4_K and Q5_K.
PARE_INLINE void load_scales6(const uint8_t* in, __m256* scale, __m256* offset) {
  const uint64_t a = load_u32(in + 4), b = load_u32(in + 8), c = load_u32(in + 12);
  const uint64_t scales =
      (a & 0x3f3f3f3fu) | (c & 0x0f0f0f0fu) << 32 | (a >> 6 & 0x03030303u) << 36;
  const uint64_t minima =
      (b & 0x3f3f3f3fu) | (c >> 4 & 0x0f0f0f0fu) << 32 | (b >> 6 & 0x03030303u) << 36;
  *scale = scaled(half(in), spread(scales));
  *offset = scaled(negative(half(in + 2)), spread(minima));
}

// The 16 codes of Q3_K, six bits each.
PARE_INLINE __m128i scales3(const uint8_t* in) {
  const uint32_t a = load_u32(in), b = load_u32(in + 4), t = load_u32(in + 8);
  const __m128i low =
      _mm_and_si128(_mm_setr_epi32(static_cast<int>(a), static_cast<int>(b),
                                   static_cast<int>(a >> 4), static_cast<int>(b >> 4)),
                    _mm_set1_epi8(15));
  const __m128i shifted =
      _mm_srlv_epi32(_mm_set1_epi32(static_cast<int>(t)), _mm_setr_epi32(0, 2, 4, 6));
  const __m128i high = _mm_and_si128(shifted, _mm_set1_epi8(3));
  return _mm_or_si128(low, _mm_slli_epi32(high, 4));
}
template <int kLen>
PARE_INLINE const float* scales_of(const Int8Rows& x) {
  return kLen == 32 ? x.scale : x.scale16;
}
template <int kLen>
PARE_INLINE const float* sums_of(const Int8Rows& x) {
  return kLen == 32 ? x.sum : x.sum16;
}

// Rows are asked for this far ahead, into the second-level cache: the CPU looks ahead by itself,
// too, but stops at the end of every page.
constexpr int kAhead = 6144;
template <int kBytes>
PARE_INLINE void ask_ahead(const uint8_t* p) {
  const uintptr_t there = reinterpret_cast<uintptr_t>(p) + kAhead;  // maybe behind the weight
#pragma GCC unroll 5
  for (uintptr_t i = 0; i < uintptr_t{kBytes}; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(there + i), _MM_HINT_T1);
  }
}

// Calls body(std::integral_constant<int, tokens>()), 1 <= tokens <= kMost.
template <int kMost, class Body>
PARE_INLINE void with_tokens(int64_t tokens, const Body& body) {
  if constexpr (kMost > 1) {
    if (tokens < kMost) return with_tokens<kMost - 1>(tokens, body);
  }
  body(std::integral_constant<int, kMost>());
}

template <class... C>
struct Codecs {};
template <class... A, class... B>
Codecs<A..., B...> operator+(Codecs<A...>, Codecs<B...>) {
  return {};
}

// The blocks of the last columns of a row, fewer than 256, with blocks of zeros behind them.
template <class C>
class Tail {
 public:
  PARE_METHOD const uint8_t* copy(const uint8_t* in, int64_t columns) {
    std::memset(blocks_, 0, sizeof blocks_);
    std::memcpy(blocks_, in, static_cast<size_t>(columns / C::kColumns * C::kBytes));
    return blocks_;
  }

 private:
  uint8_t blocks_[kSpanColumns / C::kColumns * C::kBytes];
};

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

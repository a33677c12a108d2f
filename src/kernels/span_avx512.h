// Spans for AVX-512: 256 columns of a quantized row in registers, in the planar form. Here each
// codec says once how its bytes become one (span_*_avx512.h), and span_kernels_avx512.h what is
// done with it. The layouts are told in unpack_*.cpp.
//
// A codec has kId, kForm, kColumns and kBytes of a block, and load(first block, out), which reads
// no byte but those of 256 columns. For spans_*.cpp, which say what instructions there
// are: PARE_SPAN_TARGET.
#pragma once

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>

#include "codecs/kquant.h"
#include "kernels/planar.h"

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

// One float for each group of `len` columns of a span; 0: none.
template <int kLen>
struct Groups {
  using Type = __m256;
};
template <>
struct Groups<16> {
  using Type = __m512;
};

template <class C>
struct Span {
  __m512i level[4];  // 64 columns each
  typename Groups<C::kForm.scale_len>::Type scale;
  typename Groups<C::kForm.offset_len>::Type offset;  // where the form has offsets
};

// --- parts of layouts ---

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

PARE_INLINE __m512i splat(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

// Shift counts of the 32-bit lanes in the two halves of a register.
PARE_INLINE __m512i by_halves(int low, int high) {
  return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
}

// 16 bytes at a and 16 at b, each twice: a a b b.
PARE_INLINE __m512i twice16(const uint8_t* a, const uint8_t* b) {
  return _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load16(a)), 0xff00, load16(b));
}
// 32 bytes twice.
PARE_INLINE __m512i twice32(const uint8_t* in) { return _mm512_broadcast_i64x4(load32(in)); }
// 32 bytes at a, then 32 at b.
PARE_INLINE __m512i both32(const uint8_t* a, const uint8_t* b) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load32(a)), load32(b), 1);
}

// The nibbles of two runs of 16 bytes: low halves and high halves of a, then of b.
PARE_INLINE __m512i nibbles16(const uint8_t* a, const uint8_t* b) {
  const __m512i counts = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
  return _mm512_and_si512(_mm512_srlv_epi32(twice16(a, b), counts), splat(15));
}
// The nibbles of 32 bytes: their low halves, then their high halves.
PARE_INLINE __m512i nibbles32(const uint8_t* in) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice32(in), by_halves(0, 4)), splat(15));
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
PARE_INLINE __m512 half_by_16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
PARE_INLINE __m256 negative(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

// factor * codes, eight of them.
PARE_INLINE __m256 scaled(__m256 factor, __m256i codes) {
  return _mm256_mul_ps(factor, _mm256_cvtepi32_ps(codes));
}
PARE_INLINE __m256i spread(uint64_t codes) {
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(codes)));
}

// 16 levels, biased to be unsigned, in each quarter of a register.
PARE_INLINE __m512i level_table(const int8_t* levels, int zero) {
  return _mm512_add_epi8(
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels))),
      splat(zero));
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
  Tail(const uint8_t* in, int64_t columns) {
    std::memcpy(blocks_, in, static_cast<size_t>(columns / C::kColumns * C::kBytes));
  }
  const uint8_t* data() const { return blocks_; }

 private:
  uint8_t blocks_[kSpanColumns / C::kColumns * C::kBytes] = {};
};

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

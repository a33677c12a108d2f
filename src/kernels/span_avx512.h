// Spans for AVX-512: 256 columns of a quantized row in registers, in the planar form. Here each
// codec says once how its bytes become one (span_*_avx512.h), and span_kernels_avx512.h what is
// done with it. The layouts are told in unpack_*.cpp.
//
// A codec has kId, kForm, kColumns and kBytes of a block, and load(first block, out), which reads
// no byte but those of 256 columns. With kHalved its registers are what their bytes make easily:
// the first 16 of each 32 columns of 128, then the last 16 of each. For spans_*.cpp, which say what
// instructions there are: PARE_SPAN_TARGET.
#pragma once

#include "codecs/kquant.h"
#include "kernels/planar.h"
#include "kernels/span.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

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

template <class C>
inline constexpr bool kComesHalved = requires {
  C::kHalved;
};
// Of each pair of registers, the words of 64 bits that become the first one and the second one.
template <class C>
PARE_INLINE void permute_pairs(Span<C>* s, __m512i first, __m512i second) {
#pragma GCC unroll 2
  for (int j = 0; j < 4; j += 2) {
    const __m512i a = s->level[j], b = s->level[j + 1];
    s->level[j] = _mm512_permutex2var_epi64(a, first, b);
    s->level[j + 1] = _mm512_permutex2var_epi64(a, second, b);
  }
}
template <class C>
PARE_INLINE void halve(Span<C>* s) {
  permute_pairs(s, _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13),
                _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15));
}
template <class C>
PARE_INLINE void put_in_order(Span<C>* s) {
  permute_pairs(s, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15));
}

// --- parts of layouts ---

PARE_INLINE __m512i splat(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

// Shift counts of the 32-bit lanes in the two halves of a register.
PARE_INLINE __m512i by_halves(int low, int high) {
  return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
}

// 32 bytes twice.
PARE_INLINE __m512i twice32(const uint8_t* in) { return _mm512_broadcast_i64x4(load32(in)); }
// 32 bytes at a, then 32 at b.
PARE_INLINE __m512i both32(const uint8_t* a, const uint8_t* b) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load32(a)), load32(b), 1);
}

// Runs of 16 bytes, kBytes apart, in the quarters of a register.
template <int kBytes>
PARE_INLINE __m512i runs16(const uint8_t* in) {
  if constexpr (kBytes == 16) return _mm512_loadu_si512(in);
  __m512i v = _mm512_castsi128_si512(load16(in));
  v = _mm512_mask_broadcast_i32x4(v, 0x00f0, load16(in + kBytes));
  v = _mm512_mask_broadcast_i32x4(v, 0x0f00, load16(in + 2 * kBytes));
  return _mm512_mask_broadcast_i32x4(v, 0xf000, load16(in + 3 * kBytes));
}
PARE_INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, splat(15)); }
PARE_INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }
// The nibbles of 32 bytes: their low halves, then their high halves.
PARE_INLINE __m512i nibbles32(const uint8_t* in) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice32(in), by_halves(0, 4)), splat(15));
}

PARE_INLINE __m512 half_by_16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
// 16 levels, biased to be unsigned, in each quarter of a register.
PARE_INLINE __m512i level_table(const int8_t* levels, int zero) {
  return _mm512_add_epi8(
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels))),
      splat(zero));
}

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

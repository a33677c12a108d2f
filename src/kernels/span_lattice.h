// What spans of the lattice formats (IQ1, IQ2, IQ3) for AVX2 and for AVX-512 share.
#pragma once

#include "kernels/span.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// super * (0.5 + codes) * factor.
PARE_INLINE __m256 steps(__m256 super, __m256i codes, float factor) {
  const __m256 s = _mm256_add_ps(_mm256_set1_ps(0.5f), _mm256_cvtepi32_ps(codes));
  return _mm256_mul_ps(_mm256_mul_ps(super, s), _mm256_set1_ps(factor));
}
// The nibbles of eight bytes, low halves first.
PARE_INLINE __m128i nibbles8(const uint8_t* in) {
  const __m128i v = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in));
  return _mm_and_si128(_mm_unpacklo_epi8(v, _mm_srli_epi16(v, 4)), _mm_set1_epi8(15));
}
// The nibbles of four bytes, low halves first, as integers.
PARE_INLINE __m256i nibble_codes(const uint8_t* in) {
  const __m128i v = _mm_cvtsi32_si128(static_cast<int>(load_u32(in)));
  const __m128i nibbles =
      _mm_and_si128(_mm_unpacklo_epi8(v, _mm_srli_epi16(v, 4)), _mm_set1_epi8(15));
  return _mm256_cvtepu8_epi32(nibbles);
}

// The lowest bit of each byte (or of 16 bits with seven signs): whether its signs are odd in
// number. The other bits may be anything.
PARE_INLINE __m256i parity(__m256i v) {
  v = _mm256_xor_si256(v, _mm256_srli_epi16(v, 4));
  v = _mm256_xor_si256(v, _mm256_srli_epi16(v, 2));
  return _mm256_xor_si256(v, _mm256_srli_epi16(v, 1));
}
// A word per group of 32 columns: four 7-bit sign indices, whose eighth sign makes their number
// even (and a scale in the top four bits). To a byte of signs for each eight columns.
PARE_INLINE __m256i sign_bytes(__m256i words) {
  const auto field = [&](uint32_t mask) __attribute__((always_inline)) {
    return _mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(mask)));
  };
  const __m256i low = _mm256_or_si256(field(0x7f), _mm256_slli_epi32(field(0x3f80), 1));
  const __m256i high = _mm256_or_si256(_mm256_slli_epi32(field(0x1fc000), 2),
                                       _mm256_slli_epi32(field(0xfe00000), 3));
  const __m256i seven = _mm256_or_si256(low, high);
  const __m256i eighth = _mm256_and_si256(parity(seven), _mm256_set1_epi8(1));
  return _mm256_or_si256(seven, _mm256_slli_epi32(eighth, 7));
}

// The scales of IQ1_S, in the words of its groups.
PARE_INLINE __m256i iq1_codes(__m128i words) {
  return _mm256_and_si256(_mm256_srli_epi32(_mm256_cvtepu16_epi32(words), 12),
                          _mm256_set1_epi32(7));
}
// The binary16 number of IQ1_M, in the top nibbles of its four words of scales.
PARE_INLINE int16_t iq1_m_super(uint64_t words) {
  const uint64_t d =
      (words >> 12 & 0xf) | (words >> 24 & 0xf0) | (words >> 36 & 0xf00) | (words >> 48 & 0xf000);
  return static_cast<int16_t>(d);
}

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

// Spans of the lattice formats with entries of four values (IQ3), for AVX-512 with VBMI. A codebook
// entry is 16 bits in which each value is the index of its magnitude: registers of them are looked
// up in registers, and spread to bytes. Loading the 64 entries of a span one by one takes longer.
#pragma once

#include "kernels/span_lattice_avx512.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// The entries of 32 indices; of each index, the bits that count.
template <size_t kEntries>
PARE_INLINE __m512i look_up(const uint16_t* entries, __m512i index) {
  if constexpr (kEntries == 64) {
    return _mm512_permutex2var_epi16(_mm512_load_si512(entries), index,
                                     _mm512_load_si512(entries + 32));
  } else {
    const __m512i low = look_up<kEntries / 2>(entries, index);
    const __m512i high = look_up<kEntries / 2>(entries + kEntries / 2, index);
    const __m512i bit = _mm512_set1_epi16(static_cast<int16_t>(kEntries / 2));
    return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(index, bit), low, high);
  }
}

PARE_INLINE __m512i magnitude_table(const uint8_t* magnitudes) {
  return _mm512_broadcast_i32x4(load16(magnitudes));
}

// Magnitudes of the four values of entries 16 j .. 16 j + 15 of 32.
PARE_INLINE __m512i magnitudes_by_4(__m512i entries, int j, __m512i table) {
  const __m512i words =
      _mm512_add_epi16(_mm512_set_epi16(0, 15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7,
                                        0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0),
                       _mm512_set1_epi16(static_cast<int16_t>(16 * j)));
  const __m512i shifts = _mm512_set1_epi64(0x2926232009060300);
  const __m512i spread =
      _mm512_multishift_epi64_epi8(shifts, _mm512_permutexvar_epi16(words, entries));
  return _mm512_shuffle_epi8(table, _mm512_and_si512(spread, splat(7)));
}

struct IQ3_XXS {
  static constexpr CodecId kId = CodecId::kIQ3_XXS;
  static constexpr PlanarForm kForm = {32, 0, kSignZero, 126};
  static constexpr int kColumns = 256, kBytes = 98;
  const LatticeEntries<256>& book = iq3_xxs_entries();

  PARE_METHOD void load(const uint8_t* in, Span<IQ3_XXS>* out) const {
    const __m256i words = load32(in + 66);
    out->scale = steps(half(in), _mm256_srli_epi32(words, 28), 0.5f);
    alignas(64) uint8_t signs[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(signs), sign_bytes(words));
    const __m512i table = magnitude_table(book.magnitude);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m512i entries =
          look_up<256>(book.entry, _mm512_cvtepu8_epi16(load32(in + 2 + 32 * h)));
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        out->level[2 * h + j] =
            with_signs(magnitudes_by_4(entries, j, table), signs + 16 * h + 8 * j);
      }
    }
  }
};

struct IQ3_S {
  static constexpr CodecId kId = CodecId::kIQ3_S;
  static constexpr PlanarForm kForm = {32, 0, kSignZero, 126};
  static constexpr int kColumns = 256, kBytes = 110;
  const LatticeEntries<512>& book = iq3_s_entries();

  PARE_METHOD void load(const uint8_t* in, Span<IQ3_S>* out) const {
    out->scale = steps(half(in), nibble_codes(in + 106), 2.0f);
    const __m512i table = magnitude_table(book.magnitude);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m512i low = _mm512_cvtepu8_epi16(load32(in + 2 + 32 * h));
      const __mmask32 ninth = load_u32(in + 66 + 4 * h);
      const __m512i index = _mm512_mask_add_epi16(low, ninth, low, _mm512_set1_epi16(256));
      const __m512i entries = look_up<512>(book.entry, index);
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        out->level[2 * h + j] =
            with_signs(magnitudes_by_4(entries, j, table), in + 74 + 16 * h + 8 * j);
      }
    }
  }
};

using LatticesOfFour = Codecs<IQ3_XXS, IQ3_S>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

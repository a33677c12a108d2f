// Spans of the lattice formats (IQ1, IQ2, IQ3), for AVX-512 with VBMI. Of IQ2 and IQ3, a codebook
// entry is 16 bits in which each value is the index of its magnitude: registers of them are looked
// up in registers, and spread to bytes.
#pragma once

#include "kernels/lattice_tables.h"
#include "kernels/span_avx512.h"
#include "kernels/span_lattice.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

inline constexpr int kSignZero = 64;  // magnitudes of IQ2 and IQ3 are below it

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

// Magnitudes of the eight values of entries 8 j .. 8 j + 7 of 32.
PARE_INLINE __m512i magnitudes_by_8(__m512i entries, int j, __m512i table) {
  const __m512i words =
      _mm512_add_epi16(_mm512_set_epi16(0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 3,
                                        0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0),
                       _mm512_set1_epi16(static_cast<int16_t>(8 * j)));
  const __m512i shifts = _mm512_set1_epi64(0x0e0c0a0806040200);
  const __m512i spread =
      _mm512_multishift_epi64_epi8(shifts, _mm512_permutexvar_epi16(words, entries));
  return _mm512_shuffle_epi8(table, _mm512_and_si512(spread, splat(3)));
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

// Levels of magnitudes; signs: a bit for each, set where negative.
PARE_INLINE __m512i with_signs(__m512i magnitudes, const uint8_t* signs) {
  uint64_t bits;
  std::memcpy(&bits, signs, sizeof bits);
  const __m512i zero = splat(kSignZero);
  return _mm512_mask_sub_epi8(_mm512_add_epi8(zero, magnitudes), bits, zero, magnitudes);
}

PARE_INLINE __m512 steps(__m512 super, __m512i codes, float factor) {
  const __m512 s = _mm512_add_ps(_mm512_set1_ps(0.5f), _mm512_cvtepi32_ps(codes));
  return _mm512_mul_ps(_mm512_mul_ps(super, s), _mm512_set1_ps(factor));
}
// Scales of eight bytes of nibbles.
PARE_INLINE __m512 scales_of_nibbles(const uint8_t* d, const uint8_t* in, float factor) {
  return steps(half_by_16(d), _mm512_cvtepu8_epi32(nibbles8(in)), factor);
}

struct IQ2_XXS {
  static constexpr CodecId kId = CodecId::kIQ2_XXS;
  static constexpr PlanarForm kForm = {32, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 66;
  const LatticeEntries<256>& book = iq2_xxs_entries();

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_XXS>* out) const {
    const __m512i pairs = _mm512_loadu_si512(in + 2);  // four indices and a word for each group
    const __m256i words = _mm512_cvtepi64_epi32(_mm512_srli_epi64(pairs, 32));
    out->scale = steps(half(in), _mm256_srli_epi32(words, 28), 0.25f);
    alignas(64) uint8_t signs[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(signs), sign_bytes(words));
    const __m512i index = _mm512_cvtepu8_epi16(_mm512_cvtepi64_epi32(pairs));
    const __m512i entries = look_up<256>(book.entry, index);
    const __m512i table = magnitude_table(book.magnitude);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      out->level[j] = with_signs(magnitudes_by_8(entries, j, table), signs + 8 * j);
    }
  }
};

struct IQ2_XS {
  static constexpr CodecId kId = CodecId::kIQ2_XS;
  static constexpr PlanarForm kForm = {16, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 74;
  const LatticeEntries<512>& book = iq2_xs_entries();

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_XS>* out) const {
    out->scale = scales_of_nibbles(in, in + 66, 0.25f);
    const __m512i words = _mm512_loadu_si512(in + 2);
    const __m512i seven = _mm512_srli_epi16(words, 9);
    __m512i parity = _mm512_xor_si512(seven, _mm512_srli_epi16(seven, 4));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 2));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 1));
    const __m512i eighth = _mm512_slli_epi16(parity, 7);
    alignas(64) uint8_t signs[32];
    // The low byte of each: seven | eighth, of which bits 0 .. 6 are not wanted.
    const __m512i all = _mm512_ternarylogic_epi32(seven, eighth, _mm512_set1_epi16(0x80), 0xf8);
    _mm256_store_si256(reinterpret_cast<__m256i*>(signs), _mm512_cvtepi16_epi8(all));
    const __m512i entries = look_up<512>(book.entry, words);
    const __m512i table = magnitude_table(book.magnitude);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      out->level[j] = with_signs(magnitudes_by_8(entries, j, table), signs + 8 * j);
    }
  }
};

struct IQ2_S {
  static constexpr CodecId kId = CodecId::kIQ2_S;
  static constexpr PlanarForm kForm = {16, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 82;
  const LatticeEntries<1024>& book = iq2_s_entries();

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_S>* out) const {
    out->scale = scales_of_nibbles(in, in + 74, 0.25f);
    // A byte of high bits for four indices: to bits 8 and 9 of each.
    const __m512i bytes =
        _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in + 66)));
    const __m512i spread = _mm512_or_si512(
        _mm512_or_si512(_mm512_slli_epi64(bytes, 8), _mm512_slli_epi64(bytes, 22)),
        _mm512_or_si512(_mm512_slli_epi64(bytes, 36), _mm512_slli_epi64(bytes, 50)));
    const __m512i high = _mm512_and_si512(spread, _mm512_set1_epi16(0x300));
    const __m512i index = _mm512_or_si512(_mm512_cvtepu8_epi16(load32(in + 2)), high);
    const __m512i entries = look_up<1024>(book.entry, index);
    const __m512i table = magnitude_table(book.magnitude);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      out->level[j] = with_signs(magnitudes_by_8(entries, j, table), in + 34 + 8 * j);
    }
  }
};

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

// Levels of units 8 j .. 8 j + 7.
PARE_INLINE __m512i iq1_units(const uint64_t* book, const uint16_t* index) {
  const auto entry = [&](int u) __attribute__((always_inline)) {
    return static_cast<long long>(book[index[u]]);
  };
  return _mm512_setr_epi64(entry(0), entry(1), entry(2), entry(3), entry(4), entry(5), entry(6),
                           entry(7));
}

struct IQ1_S {
  static constexpr CodecId kId = CodecId::kIQ1_S;
  static constexpr PlanarForm kForm = {32, 0, kIq1Zero, 25};
  static constexpr int kColumns = 256, kBytes = 50;
  const uint64_t* book = iq1_levels().data();

  PARE_METHOD void load(const uint8_t* in, Span<IQ1_S>* out) const {
    const __m128i words = load16(in + 34);
    out->scale = steps(half(in), iq1_codes(words), 0.25f);
    // Three high bits for each of four indices: to bits 8 .. 10.
    const __m512i w = _mm512_cvtepu16_epi64(words);
    const __m512i spread =
        _mm512_or_si512(_mm512_or_si512(_mm512_slli_epi64(w, 8), _mm512_slli_epi64(w, 21)),
                        _mm512_or_si512(_mm512_slli_epi64(w, 34), _mm512_slli_epi64(w, 47)));
    const __m512i high = _mm512_and_si512(spread, _mm512_set1_epi16(0x700));
    alignas(64) uint16_t index[32];
    _mm512_store_si512(index, _mm512_or_si512(_mm512_cvtepu8_epi16(load32(in + 2)), high));
    // The shift of each group, in its 64 bits: bytes of -1 or of 1.
    const __m512i minus = _mm512_srai_epi64(_mm512_cvtepi16_epi64(words), 63);
    const __m512i shifts = _mm512_or_si512(minus, splat(1));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i groups = _mm512_mask_set1_epi64(_mm512_set1_epi64(2 * j), 0xf0, 2 * j + 1);
      out->level[j] =
          _mm512_add_epi8(iq1_units(book, index + 8 * j), _mm512_permutexvar_epi64(groups, shifts));
    }
  }
};

struct IQ1_M {
  static constexpr CodecId kId = CodecId::kIQ1_M;
  static constexpr PlanarForm kForm = {16, 0, kIq1Zero, 25};
  static constexpr int kColumns = 256, kBytes = 56;
  const uint64_t* book = iq1_levels().data();

  PARE_METHOD void load(const uint8_t* in, Span<IQ1_M>* out) const {
    uint64_t words;
    std::memcpy(&words, in + 48, sizeof words);
    const __m512 super = _mm512_cvtph_ps(_mm256_set1_epi16(iq1_m_super(words)));
    const __m128i four = _mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(words)));
    const __m512i each =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                 _mm512_castsi128_si512(four));
    const __m512i counts = _mm512_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9, 0, 3, 6, 9, 0, 3, 6, 9);
    const __m512i codes = _mm512_and_si512(_mm512_srlv_epi32(each, counts), _mm512_set1_epi32(7));
    out->scale = steps(super, codes, 0.25f);
    // A nibble for each unit: three high bits of its index, and the sign of its shift.
    const __m256i nibbles = _mm256_set_m128i(nibbles8(in + 40), nibbles8(in + 32));
    const __m512i wide = _mm512_cvtepu8_epi16(nibbles);
    const __m512i high = _mm512_and_si512(_mm512_slli_epi16(wide, 8), _mm512_set1_epi16(0x700));
    alignas(64) uint16_t index[32];
    _mm512_store_si512(index, _mm512_or_si512(_mm512_cvtepu8_epi16(load32(in)), high));
    const uint32_t minus = _mm512_test_epi16_mask(wide, _mm512_set1_epi16(8));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto is_minus = static_cast<__mmask8>(minus >> (8 * j));
      const __m512i shift = _mm512_mask_set1_epi64(splat(1), is_minus, -1);
      out->level[j] = _mm512_add_epi8(iq1_units(book, index + 8 * j), shift);
    }
  }
};

using Lattices = Codecs<IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

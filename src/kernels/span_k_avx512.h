// Spans of the K-quants, of IQ4_XS and of the ternary formats, for AVX-512.
#pragma once

#include "kernels/span_avx512.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

struct IQ4_XS {
  static constexpr CodecId kId = CodecId::kIQ4_XS;
  static constexpr PlanarForm kForm = {32, 0, kTableZero, 240};
  static constexpr int kColumns = 256, kBytes = 136;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<IQ4_XS>* out) {
    const __m512i table = level_table(kquant::kTable.data(), kTableZero);
    out->scale = load_scales_iq4(in);
#pragma GCC unroll 2
    for (int j = 0; j < 4; j += 2) {
      const __m512i v = runs16<16>(in + 8 + 32 * j);
      out->level[j] = _mm512_shuffle_epi8(table, low_nibbles(v));
      out->level[j + 1] = _mm512_shuffle_epi8(table, high_nibbles(v));
    }
  }
};

struct Q4_K {
  static constexpr CodecId kId = CodecId::kQ4_K;
  static constexpr PlanarForm kForm = {32, 32, 0, 15};
  static constexpr int kColumns = 256, kBytes = 144;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_K>* out) {
    load_scales6(in, &out->scale, &out->offset);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) out->level[j] = nibbles32(in + 16 + 32 * j);
  }
};

// 1 << j in the bytes of the lower half, 1 << k in those of the upper.
PARE_INLINE __m512i bits_by_halves(int j, int k) {
  return _mm512_mask_set1_epi8(splat(1 << j), 0xffffffff00000000u, static_cast<char>(1 << k));
}

struct Q5_K {
  static constexpr CodecId kId = CodecId::kQ5_K;
  static constexpr PlanarForm kForm = {32, 32, 0, 31};
  static constexpr int kColumns = 256, kBytes = 176;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_K>* out) {
    load_scales6(in, &out->scale, &out->offset);
    const __m512i high = twice32(in + 16);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i nibbles = nibbles32(in + 48 + 32 * j);
      const __mmask64 fifth = _mm512_test_epi8_mask(high, bits_by_halves(2 * j, 2 * j + 1));
      out->level[j] = _mm512_mask_add_epi8(nibbles, fifth, nibbles, splat(16));
    }
  }
};

struct Q6_K {
  static constexpr CodecId kId = CodecId::kQ6_K;
  static constexpr PlanarForm kForm = {16, 0, 32, 63};
  static constexpr int kColumns = 256, kBytes = 210;
  PARE_INLINE void load(const uint8_t* in, Span<Q6_K>* out) {
    const __m512i codes = _mm512_cvtepi8_epi32(load16(in + 192));
    out->scale = _mm512_mul_ps(half_by_16(in + 208), _mm512_cvtepi32_ps(codes));
    const __m512i low_bits = splat(15), high_bits = splat(48);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m512i low = _mm512_loadu_si512(in + 64 * h);
      const __m512i high = twice32(in + 128 + 32 * h);
      const __m512i first = _mm512_and_si512(_mm512_sllv_epi32(high, by_halves(4, 2)), high_bits);
      const __m512i second = _mm512_and_si512(_mm512_srlv_epi32(high, by_halves(0, 2)), high_bits);
      // (a & b) | c
      out->level[2 * h] = _mm512_ternarylogic_epi32(low, low_bits, first, 0xea);
      out->level[2 * h + 1] =
          _mm512_ternarylogic_epi32(_mm512_srli_epi32(low, 4), low_bits, second, 0xea);
    }
  }
};

// Pairs of bits 4 k .. 4 k + 3 of 32 bytes, low pairs first.
template <int kK>
PARE_INLINE __m512i pairs32(__m512i twice) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice, by_halves(4 * kK, 4 * kK + 2)), splat(3));
}

// Each of 16 bytes four times.
PARE_INLINE __m512i four_times(__m128i bytes) {
  return _mm512_mullo_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(0x01010101));
}

// bytes * {0, 1, 2, 3}: of each run of four equal bytes, their products with the levels.
PARE_INLINE __m512i times_0123(__m512i bytes) {
  const __m512i doubled = _mm512_add_epi8(bytes, bytes);
  return _mm512_add_epi8(_mm512_maskz_mov_epi8(0xaaaaaaaaaaaaaaaau, bytes),
                         _mm512_maskz_mov_epi8(0xccccccccccccccccu, doubled));
}

// Which words of the products of 16 groups begin the quarters of register j, groups 4 j .. 4 j + 3;
// what follows in each quarter is `second` more.
PARE_INLINE __m512i quarter_words(int j, int second) {
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512i words = _mm512_add_epi32(first, _mm512_set1_epi32(4 * j));
  return _mm512_mask_add_epi32(words, 0x2222, words, _mm512_set1_epi32(second));
}

// Panels want sums of 32 columns that stay integers: as in unpack_k.cpp, levels of Q2_K and Q3_K
// are multiplied with their scale codes. Few tokens are faster with the plain levels.
struct Q2_K {
  static constexpr CodecId kId = CodecId::kQ2_K;
  static constexpr PlanarForm kForm = {32, 16, 0, 45};
  static constexpr int kColumns = 256, kBytes = 84;
  PARE_INLINE void load(const uint8_t* in, Span<Q2_K>* out) {
    const __m128i nibble = _mm_set1_epi8(15), codes = load16(in);
    const __m512i products = times_0123(four_times(_mm_and_si128(codes, nibble)));
    const __m512i minima = _mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(codes, 4), nibble));
    out->scale = half(in + 80);
    const __m512 dmin = _mm512_xor_ps(half_by_16(in + 82), _mm512_set1_ps(-0.0f));
    out->offset = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(minima));
    const auto levels = [&](int j, __m512i index) __attribute__((always_inline)) {
      const __m512i table = _mm512_permutexvar_epi32(quarter_words(j, 0), products);
      out->level[j] = _mm512_shuffle_epi8(table, index);
    };
    const __m512i first = twice32(in + 16), second = twice32(in + 48);
    levels(0, pairs32<0>(first));
    levels(1, pairs32<1>(first));
    levels(2, pairs32<0>(second));
    levels(3, pairs32<1>(second));
  }
};

inline constexpr int kQ3Zero = 124;
struct Q3_K {
  static constexpr CodecId kId = CodecId::kQ3_K;
  static constexpr PlanarForm kForm = {32, 0, kQ3Zero, 252};
  static constexpr int kColumns = 256, kBytes = 110;
  PARE_INLINE void load(const uint8_t* in, Span<Q3_K>* out) {
    const uint32_t a = load_u32(in + 96), b = load_u32(in + 100), t = load_u32(in + 104);
    const auto word = [](uint32_t low, uint32_t high) __attribute__((always_inline)) {
      return static_cast<int>((low & 0x0f0f0f0fu) | (high & 0x03030303u) << 4);
    };
    const __m128i codes =
        _mm_setr_epi32(word(a, t), word(b, t >> 2), word(a >> 4, t >> 4), word(b >> 4, t >> 6));
    const __m512i scales = four_times(_mm_and_si128(codes, _mm_set1_epi8(63)));
    const __m512i centred = _mm512_sub_epi8(scales, splat(32));
    const __m512i doubled = _mm512_add_epi8(centred, centred);
    // Products with levels 0 .. 3, and with -4 .. -1.
    const __m512i upper = _mm512_add_epi8(times_0123(centred), splat(kQ3Zero));
    const __m512i lower = _mm512_sub_epi8(upper, _mm512_add_epi8(doubled, doubled));
    out->scale = half(in + 108);
    const __m512i high = twice32(in);
    const auto levels = [&](int j, __m512i index) __attribute__((always_inline)) {
      const __mmask64 third = _mm512_test_epi8_mask(high, bits_by_halves(2 * j, 2 * j + 1));
      const __m512i level = _mm512_mask_add_epi8(index, third, index, splat(4));
      const __m512i table = _mm512_permutex2var_epi32(lower, quarter_words(j, 16), upper);
      out->level[j] = _mm512_shuffle_epi8(table, level);
    };
    const __m512i first = twice32(in + 32), second = twice32(in + 64);
    levels(0, pairs32<0>(first));
    levels(1, pairs32<1>(first));
    levels(2, pairs32<0>(second));
    levels(3, pairs32<1>(second));
  }
};

struct Q2_K_Plain {
  static constexpr CodecId kId = CodecId::kQ2_K;
  static constexpr PlanarForm kForm = {16, 16, 0, 3};
  static constexpr int kColumns = 256, kBytes = 84;
  PARE_INLINE void load(const uint8_t* in, Span<Q2_K_Plain>* out) {
    const __m512i codes = _mm512_cvtepu8_epi32(load16(in));
    const __m512i scales = _mm512_and_si512(codes, _mm512_set1_epi32(15));
    out->scale = _mm512_mul_ps(half_by_16(in + 80), _mm512_cvtepi32_ps(scales));
    const __m512 dmin = _mm512_xor_ps(half_by_16(in + 82), _mm512_set1_ps(-0.0f));
    out->offset = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32(codes, 4)));
    const __m512i first = twice32(in + 16), second = twice32(in + 48);
    out->level[0] = pairs32<0>(first);
    out->level[1] = pairs32<1>(first);
    out->level[2] = pairs32<0>(second);
    out->level[3] = pairs32<1>(second);
  }
};

struct Q3_K_Plain {
  static constexpr CodecId kId = CodecId::kQ3_K;
  static constexpr PlanarForm kForm = {16, 0, 4, 7};
  static constexpr int kColumns = 256, kBytes = 110;
  PARE_INLINE void load(const uint8_t* in, Span<Q3_K_Plain>* out) {
    const __m512i codes =
        _mm512_sub_epi32(_mm512_cvtepu8_epi32(scales3(in + 96)), _mm512_set1_epi32(32));
    out->scale = _mm512_mul_ps(half_by_16(in + 108), _mm512_cvtepi32_ps(codes));
    const __m512i first = twice32(in + 32), second = twice32(in + 64), high = twice32(in);
    out->level[0] = with_third<0>(pairs32<0>(first), high);
    out->level[1] = with_third<1>(pairs32<1>(first), high);
    out->level[2] = with_third<2>(pairs32<0>(second), high);
    out->level[3] = with_third<3>(pairs32<1>(second), high);
  }
  // Adds the third bits of register j.
  template <int kJ>
  PARE_INLINE __m512i with_third(__m512i pairs, __m512i high) {
    const __mmask64 third = _mm512_test_epi8_mask(high, bits_by_halves(2 * kJ, 2 * kJ + 1));
    return _mm512_mask_add_epi8(pairs, third, pairs, splat(4));
  }
};

struct TQ2_0 {
  static constexpr CodecId kId = CodecId::kTQ2_0;
  static constexpr PlanarForm kForm = {32, 0, 1, 3};
  static constexpr int kColumns = 256, kBytes = 66;
  PARE_INLINE void load(const uint8_t* in, Span<TQ2_0>* out) {
    out->scale = half(in + 64);
    const __m512i first = twice32(in), second = twice32(in + 32);
    out->level[0] = pairs32<0>(first);
    out->level[1] = pairs32<1>(first);
    out->level[2] = pairs32<0>(second);
    out->level[3] = pairs32<1>(second);
  }
};

struct TQ1_0 {
  static constexpr CodecId kId = CodecId::kTQ1_0;
  static constexpr PlanarForm kForm = {32, 0, 1, 2};
  static constexpr int kColumns = 256, kBytes = 54;
  // A byte is a fraction in 1/256, and what three times it brings over the binary point is the
  // next trit. The trits of 32 bytes, five times; of 16, five times; of four, four times.
  PARE_INLINE void load(const uint8_t* in, Span<TQ1_0>* out) {
    out->scale = half(in + 52);
    const __m256i a = load32(in), b = thrice(a), c = thrice(b), d = thrice(c), e = thrice(d);
    const __m128i v = load16(in + 32), w = thrice(v), x = thrice(w), y = thrice(x), z = thrice(y);
    const __m128i k = _mm_cvtsi32_si128(static_cast<int>(load_u32(in + 48)));
    const __m128i l = thrice(k), m = thrice(l), n = thrice(m);
    const __m128i last = _mm_unpacklo_epi64(_mm_unpacklo_epi32(k, l), _mm_unpacklo_epi32(m, n));
    out->level[0] = trits(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1));
    out->level[1] = trits(_mm512_inserti64x4(_mm512_castsi256_si512(c), d, 1));
    out->level[2] = trits(_mm512_inserti64x4(_mm512_castsi256_si512(e), _mm256_set_m128i(w, v), 1));
    out->level[3] = trits(_mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(y, x)),
                                             _mm256_set_m128i(last, z), 1));
  }
  PARE_INLINE __m256i thrice(__m256i v) { return _mm256_add_epi8(v, _mm256_add_epi8(v, v)); }
  PARE_INLINE __m128i thrice(__m128i v) { return _mm_add_epi8(v, _mm_add_epi8(v, v)); }
  PARE_INLINE __m512i trits(__m512i fractions) {
    const __m512i one = _mm512_maskz_set1_epi8(_mm512_cmpgt_epu8_mask(fractions, splat(85)), 1);
    return _mm512_mask_add_epi8(one, _mm512_cmpgt_epu8_mask(fractions, splat(170)), one, splat(1));
  }
};

using SuperBlocks = Codecs<IQ4_XS, Q4_K, Q5_K, Q6_K, TQ1_0, TQ2_0>;
using ForPanels = Codecs<Q2_K, Q3_K>;
using ForDots = Codecs<Q2_K_Plain, Q3_K_Plain>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

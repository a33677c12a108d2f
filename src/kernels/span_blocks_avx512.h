// Spans of the formats with blocks of at most 128 columns, for AVX-512.
#pragma once

#include "codecs/fp4.h"
#include "kernels/span_avx512.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// body(j, nibbles, first block) for each 128 columns, whose levels are registers j and j + 1: the
// 16 bytes of their four blocks, behind a head of kHead bytes.
template <int kBytes, int kHead, class Body>
PARE_INLINE void for_fours(const uint8_t* in, const Body& body) {
#pragma GCC unroll 2
  for (int j = 0; j < 4; j += 2) {
    const uint8_t* const first = in + 2 * j * kBytes;
    body(j, runs16<kBytes>(first + kHead), first);
  }
}

struct Q4_0 {
  static constexpr CodecId kId = CodecId::kQ4_0;
  static constexpr PlanarForm kForm = {32, 0, 8, 15};
  static constexpr int kColumns = 32, kBytes = 18;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_0>* out) {
    out->scale = halves<kBytes>(in);
    for_fours<kBytes, 2>(
        in, [&](int j, __m512i v, const uint8_t*) __attribute__((always_inline)) {
          out->level[j] = low_nibbles(v);
          out->level[j + 1] = high_nibbles(v);
        });
  }
};

struct Q4_1 {
  static constexpr CodecId kId = CodecId::kQ4_1;
  static constexpr PlanarForm kForm = {32, 32, 0, 15};
  static constexpr int kColumns = 32, kBytes = 20;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_1>* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    for_fours<kBytes, 4>(
        in, [&](int j, __m512i v, const uint8_t*) __attribute__((always_inline)) {
          out->level[j] = low_nibbles(v);
          out->level[j + 1] = high_nibbles(v);
        });
  }
};

// The fifth bits of four blocks' first 16 columns, and of their last 16.
template <int kBytes>
PARE_INLINE void fifths(const uint8_t* in, uint64_t* first, uint64_t* last) {
  *first = *last = 0;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    *first |= uint64_t{load_u16(in + i * kBytes)} << (16 * i);
    *last |= uint64_t{load_u16(in + i * kBytes + 2)} << (16 * i);
  }
}
PARE_INLINE __m512i with_fifth(__m512i nibbles, uint64_t bits) {
  return _mm512_mask_add_epi8(nibbles, bits, nibbles, splat(16));
}

struct Q5_0 {
  static constexpr CodecId kId = CodecId::kQ5_0;
  static constexpr PlanarForm kForm = {32, 0, 16, 31};
  static constexpr int kColumns = 32, kBytes = 22;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_0>* out) {
    out->scale = halves<kBytes>(in);
    for_fours<kBytes, 6>(
        in, [&](int j, __m512i v, const uint8_t* first) __attribute__((always_inline)) {
          uint64_t of_low, of_high;
          fifths<kBytes>(first + 2, &of_low, &of_high);
          out->level[j] = with_fifth(low_nibbles(v), of_low);
          out->level[j + 1] = with_fifth(high_nibbles(v), of_high);
        });
  }
};

struct Q5_1 {
  static constexpr CodecId kId = CodecId::kQ5_1;
  static constexpr PlanarForm kForm = {32, 32, 0, 31};
  static constexpr int kColumns = 32, kBytes = 24;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_1>* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    for_fours<kBytes, 8>(
        in, [&](int j, __m512i v, const uint8_t* first) __attribute__((always_inline)) {
          uint64_t of_low, of_high;
          fifths<kBytes>(first + 4, &of_low, &of_high);
          out->level[j] = with_fifth(low_nibbles(v), of_low);
          out->level[j + 1] = with_fifth(high_nibbles(v), of_high);
        });
  }
};

struct Q8_0 {
  static constexpr CodecId kId = CodecId::kQ8_0;
  static constexpr PlanarForm kForm = {32, 0, 128, 255};
  static constexpr int kColumns = 32, kBytes = 34;
  PARE_INLINE void load(const uint8_t* in, Span<Q8_0>* out) {
    out->scale = halves<kBytes>(in);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const uint8_t* const block = in + 2 * j * kBytes + 2;
      out->level[j] = _mm512_xor_si512(both32(block, block + kBytes), splat(128));
    }
  }
};

inline constexpr int kTableZero = 127;
struct IQ4_NL {
  static constexpr CodecId kId = CodecId::kIQ4_NL;
  static constexpr PlanarForm kForm = {32, 0, kTableZero, 240};
  static constexpr int kColumns = 32, kBytes = 18;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<IQ4_NL>* out) {
    const __m512i table = level_table(kquant::kTable.data(), kTableZero);
    out->scale = halves<kBytes>(in);
    for_fours<kBytes, 2>(
        in, [&](int j, __m512i v, const uint8_t*) __attribute__((always_inline)) {
          out->level[j] = _mm512_shuffle_epi8(table, low_nibbles(v));
          out->level[j + 1] = _mm512_shuffle_epi8(table, high_nibbles(v));
        });
  }
};

inline constexpr int kFp4Zero = 12;
struct MXFP4 {
  static constexpr CodecId kId = CodecId::kMXFP4;
  static constexpr PlanarForm kForm = {32, 0, kFp4Zero, 24};
  static constexpr int kColumns = 32, kBytes = 17;
  static constexpr bool kHalved = true;
  PARE_INLINE void load(const uint8_t* in, Span<MXFP4>* out) {
    const __m512i table = level_table(kFp4Levels.data(), kFp4Zero);
    out->scale = load_scales_mxfp4<kBytes>(in);
    for_fours<kBytes, 1>(
        in, [&](int j, __m512i v, const uint8_t*) __attribute__((always_inline)) {
          out->level[j] = _mm512_shuffle_epi8(table, low_nibbles(v));
          out->level[j + 1] = _mm512_shuffle_epi8(table, high_nibbles(v));
        });
  }
};

// Two blocks of 128 columns, a bit each.
struct Q1_0 {
  static constexpr CodecId kId = CodecId::kQ1_0;
  static constexpr PlanarForm kForm = {32, 0, 1, 2};
  static constexpr int kColumns = 128, kBytes = 18;
  PARE_INLINE void load(const uint8_t* in, Span<Q1_0>* out) {
    const __m128i both =
        _mm_unpacklo_epi64(_mm_set1_epi16(static_cast<int16_t>(load_u16(in))),
                           _mm_set1_epi16(static_cast<int16_t>(load_u16(in + 18))));
    out->scale = _mm256_cvtph_ps(both);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      uint64_t bits;
      std::memcpy(&bits, in + j / 2 * kBytes + 2 + j % 2 * 8, sizeof bits);
      out->level[j] = _mm512_maskz_set1_epi8(bits, 2);
    }
  }
};

// A binary16 scale and 16 bytes of two bits per column, in order.
struct Q2_0 {
  static constexpr CodecId kId = CodecId::kQ2_0;
  static constexpr PlanarForm kForm = {32, 0, 1, 3};
  static constexpr int kColumns = 64, kBytes = 18;
  PARE_INLINE void load(const uint8_t* in, Span<Q2_0>* out) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i b = _mm512_cvtepu8_epi32(load16(in + j * kBytes + 2));
      const __m512i low = _mm512_or_si512(b, _mm512_slli_epi32(b, 6));
      const __m512i high = _mm512_or_si512(_mm512_slli_epi32(b, 12), _mm512_slli_epi32(b, 18));
      out->level[j] = _mm512_and_si512(_mm512_or_si512(low, high), splat(3));
    }
    const auto twice = [&](int j) __attribute__((always_inline)) {
      return static_cast<int>(load_u16(in + j * kBytes) * 0x10001u);
    };
    const __m128i scales = _mm_setr_epi32(twice(0), twice(1), twice(2), twice(3));
    out->scale = _mm256_cvtph_ps(scales);
  }
};

// Four bytes of scales, then for each group of 16 columns eight bytes: byte j holds columns j and
// j + 8.
struct NVFP4 {
  static constexpr CodecId kId = CodecId::kNVFP4;
  static constexpr PlanarForm kForm = {16, 0, kFp4Zero, 24};
  static constexpr int kColumns = 64, kBytes = 36;
  PARE_INLINE void load(const uint8_t* in, Span<NVFP4>* out) {
    const auto word = [&](int j) __attribute__((always_inline)) {
      return static_cast<int>(load_u32(in + j * kBytes));
    };
    const __m128i codes = _mm_setr_epi32(word(0), word(1), word(2), word(3));
    // An E4M3 number is a binary16 number with another bias; 0x7f is 0. Halved (fp4.h).
    const __mmask16 numbers = _mm_cmpneq_epi8_mask(codes, _mm_set1_epi8(0x7f));
    const __m256i bits = _mm256_cvtepu8_epi16(_mm_and_si128(codes, _mm_set1_epi8(0x7f)));
    const __m512 halves = _mm512_cvtph_ps(_mm256_slli_epi16(bits, 7));
    out->scale = _mm512_maskz_mul_ps(numbers, halves, _mm512_set1_ps(128.0f));
    const __m512i table = level_table(kFp4Levels.data(), kFp4Zero);
    const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i shift = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i q =
          _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(load32(in + j * kBytes + 4)));
      const __m512i index = _mm512_and_si512(_mm512_srlv_epi64(q, shift), splat(15));
      out->level[j] = _mm512_shuffle_epi8(table, index);
    }
  }
};

using Blocks = Codecs<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, Q1_0, Q2_0, NVFP4>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

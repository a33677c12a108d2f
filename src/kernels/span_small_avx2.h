// Spans for AVX2: ternary and binary formats, and NVFP4.
#pragma once

#include "codecs/fp4.h"
#include "kernels/span_avx2.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

struct TQ2_0 : Layout<CodecId::kTQ2_0, 256, 66, Levels::kPlain, 1> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = half(in + 64);
    out->ready();
    put_pairs<0>(load32(in), out);
    put_pairs<4>(load32(in + 32), out);
  }
};

// A byte is a fraction in 1/256, and what three times it brings over the binary point is the next
// trit. The trits of 32 bytes, five times; of 16, five times; of four, four times.
struct TQ1_0 : Layout<CodecId::kTQ1_0, 256, 54, Levels::kPlain, 1> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = half(in + 52);
    out->ready();
    __m256i fractions = load32(in);
#pragma GCC unroll 5
    for (int j = 0; j < 5; ++j) {
      out->put(j, trits(fractions));
      fractions = _mm256_add_epi8(fractions, _mm256_add_epi8(fractions, fractions));
    }
    const __m128i v = load16(in + 32), w = thrice(v), x = thrice(w), y = thrice(x), z = thrice(y);
    const __m128i k = _mm_cvtsi32_si128(static_cast<int>(load_u32(in + 48)));
    const __m128i l = thrice(k), m = thrice(l), n = thrice(m);
    const __m128i last = _mm_unpacklo_epi64(_mm_unpacklo_epi32(k, l), _mm_unpacklo_epi32(m, n));
    out->put(5, trits(_mm256_set_m128i(w, v)));
    out->put(6, trits(_mm256_set_m128i(y, x)));
    out->put(7, trits(_mm256_set_m128i(last, z)));
  }
  PARE_INLINE __m128i thrice(__m128i v) { return _mm_add_epi8(v, _mm_add_epi8(v, v)); }
  // 1 above 85, 2 above 170.
  PARE_INLINE __m256i trits(__m256i fractions) {
    const auto above = [&](int limit) __attribute__((always_inline)) {
      return _mm256_min_epu8(_mm256_subs_epu8(fractions, splat2(limit)), splat2(1));
    };
    return _mm256_add_epi8(above(85), above(170));
  }
};

// Two blocks of 128 columns, a bit each.
struct Q1_0 : Layout<CodecId::kQ1_0, 128, 18, Levels::kPlain, 1> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = _mm256_set_m128(_mm256_castps256_ps128(half(in + kBytes)),
                                 _mm256_castps256_ps128(half(in)));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, where_set(in + j / 4 * kBytes + 2 + j % 4 * 4, 2));
    }
  }
};

// A binary16 scale and 16 bytes of two bits per column, in order.
struct Q2_0 : Layout<CodecId::kQ2_0, 64, 18, Levels::kPlain, 1> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const auto twice = [&](int j) __attribute__((always_inline)) {
      return static_cast<int>(load_u16(in + j * kBytes) * 0x10001u);
    };
    out->scale = _mm256_cvtph_ps(_mm_setr_epi32(twice(0), twice(1), twice(2), twice(3)));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const uint8_t* bytes = in + j / 2 * kBytes + 2 + j % 2 * 8;
      const __m256i b =
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
      const __m256i low = _mm256_or_si256(b, _mm256_slli_epi32(b, 6));
      const __m256i high = _mm256_or_si256(_mm256_slli_epi32(b, 12), _mm256_slli_epi32(b, 18));
      out->put(j, _mm256_and_si256(_mm256_or_si256(low, high), splat2(3)));
    }
  }
};

// Four bytes of scales, then for each group of 16 columns eight bytes: byte j holds columns j and
// j + 8.
struct NVFP4 : Layout<CodecId::kNVFP4, 64, 36, Levels::kPlain16, 12> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const auto word = [&](int j) __attribute__((always_inline)) {
      return static_cast<int>(load_u32(in + j * kBytes));
    };
    const __m128i codes = _mm_setr_epi32(word(0), word(1), word(2), word(3));
    // An E4M3 number is a binary16 number with another bias; 0x7f is 0. Halved (fp4.h).
    const __m128i seven = _mm_and_si128(codes, _mm_set1_epi8(0x7f));
    const __m128i none = _mm_cmpeq_epi8(codes, _mm_set1_epi8(0x7f));
    const __m256i bits = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_andnot_si128(none, seven)), 7);
    const __m256 factor = _mm256_set1_ps(128.0f);
    out->by_16[0] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(bits)), factor);
    out->by_16[1] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(bits, 1)), factor);
    const __m256i table = table16(kFp4Levels.data(), kZero);
    const __m128i mask = _mm_set1_epi8(15);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m128i v = load16(in + j / 2 * kBytes + 4 + j % 2 * 16);
      const __m128i low = _mm_and_si128(v, mask);
      const __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), mask);
      out->put(j, _mm256_shuffle_epi8(table, _mm256_set_m128i(_mm_unpackhi_epi64(low, high),
                                                              _mm_unpacklo_epi64(low, high))));
    }
  }
};

using Small = Codecs<TQ1_0, TQ2_0, Q1_0, Q2_0, NVFP4>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

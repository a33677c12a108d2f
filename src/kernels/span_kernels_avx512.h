// What is done with spans, for AVX-512 with VNNI: products with few tokens, and unpacking.
//
// vpdpbusd multiplies 64 unsigned levels with 64 signed activations and adds runs of four; every
// sum is then scaled in its lane. Lanes are added for 16 rows at once.
#pragma once

#include "kernels/dot.h"
#include "kernels/span_avx512.h"
#include "kernels/unpack.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// --- products ---

PARE_INLINE __m256 load(const float* p, __m256) { return _mm256_loadu_ps(p); }
PARE_INLINE __m512 load(const float* p, __m512) { return _mm512_loadu_ps(p); }
PARE_INLINE __m256 times(__m256 a, __m256 b) { return _mm256_mul_ps(a, b); }
PARE_INLINE __m512 times(__m512 a, __m512 b) { return _mm512_mul_ps(a, b); }
PARE_INLINE __m256 plus_product(__m256 sum, __m256 a, __m256 b) {
  return _mm256_fmadd_ps(a, b, sum);
}
PARE_INLINE __m512 plus_product(__m512 sum, __m512 a, __m512 b) {
  return _mm512_fmadd_ps(a, b, sum);
}
PARE_INLINE void keep_first(int n, __m256* v) {
  *v = _mm256_maskz_mov_ps(static_cast<__mmask8>((1u << n) - 1), *v);
}
PARE_INLINE void keep_first(int n, __m512* v) {
  *v = _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << n) - 1), *v);
}
PARE_INLINE void set_zero(__m256* v) { *v = _mm256_setzero_ps(); }
PARE_INLINE void set_zero(__m512* v) { *v = _mm512_setzero_ps(); }
// The upper half of a narrow one is zero, or anything.
PARE_INLINE __m512 widen(__m256 v) { return _mm512_zextps256_ps512(v); }
PARE_INLINE __m512 widen(__m512 v) { return v; }
PARE_INLINE __m512 widen_any(__m256 v) { return _mm512_castps256_ps512(v); }
PARE_INLINE __m512 widen_any(__m512 v) { return v; }

// The group of 16 columns of each lane (four columns) of register j.
PARE_INLINE __m512i lane_groups(int j) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_epi32(_mm512_srli_epi32(lane, 2), _mm512_set1_epi32(4 * j));
}

// Where scales are of 32 columns, activations come halved (Dot): both registers of 128 columns then
// have the same groups in the same lanes, so that their products are added before they are scaled.
inline constexpr int kHalvedColumns = 128;

// The sums of one row, in an order that does not depend on how many tokens there are
// (kAlikeTokens).
template <class C, int kTokens>
struct Sums {
  static constexpr int kScaleLen = C::kForm.scale_len;
  static constexpr int kOffsetLen = C::kForm.offset_len;
  // Sums of activations are multiplied with offsets or, for the level that is zero, with scales.
  static constexpr int kSumLen = kOffsetLen != 0 ? kOffsetLen : kScaleLen;
  static_assert(kOffsetLen == 0 || C::kForm.zero == 0);

  static constexpr int kScaled = kScaleLen == 32 ? 2 : 4;  // times that integers are scaled

  __m512 products[kTokens];
  typename Groups<kSumLen>::Type corrections[kTokens];

  PARE_INLINE void clear(Sums* s) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      s->products[t] = _mm512_setzero_ps();
      set_zero(&s->corrections[t]);
    }
  }

  // `columns` of the span are the row's; blocks behind them may be anything.
  PARE_INLINE void add_first(Sums* s, const C& codec, const uint8_t* in, const Int8Rows& x,
                             int64_t column, int columns) {
    Span<C> w;
    codec.load(in, &w);
    keep_first(columns / kScaleLen, &w.scale);
    if constexpr (kOffsetLen != 0) keep_first(columns / kOffsetLen, &w.offset);
    add(s, w, x, column);
  }

  PARE_INLINE void add(Sums* s, const C& codec, const uint8_t* in, const Int8Rows& x,
                       int64_t column) {
    Span<C> w;
    codec.load(in, &w);
    add(s, w, x, column);
  }

  PARE_INLINE void add(Sums* s, Span<C>& w, const Int8Rows& x, int64_t column) {
    if constexpr (kScaleLen == 32 && !kComesHalved<C>) halve(&w);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const int64_t at = t * x.stride + column;
      const auto both = times(w.scale, load(scales_of<kScaleLen>(x) + at / kScaleLen, w.scale));
      const auto x_sum = load(sums_of<kSumLen>(x) + at / kSumLen, s->corrections[t]);
      if constexpr (kOffsetLen != 0) {
        s->corrections[t] = plus_product(s->corrections[t], w.offset, x_sum);
      } else {
        s->corrections[t] = plus_product(s->corrections[t], w.scale, x_sum);
      }
#pragma GCC unroll 4
      for (int i = 0; i < kScaled; ++i) {
        __m512i dots = _mm512_setzero_si512();
#pragma GCC unroll 2
        for (int j = 4 / kScaled * i; j < 4 / kScaled * (i + 1); ++j) {
          dots = _mm512_dpbusd_epi32(dots, w.level[j], _mm512_load_si512(x.q + at + 64 * j));
        }
        const __m512 scale = _mm512_permutexvar_ps(lane_groups(i), widen_any(both));
        s->products[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), scale, s->products[t]);
      }
    }
  }

  PARE_INLINE __m512 total(const Sums& s, int t) {
    if constexpr (kOffsetLen != 0) {
      return _mm512_add_ps(s.products[t], widen(s.corrections[t]));
    } else {
      const __m512 zero = _mm512_set1_ps(static_cast<float>(-C::kForm.zero));
      return _mm512_fmadd_ps(zero, widen(s.corrections[t]), s.products[t]);
    }
  }
};

// Of each of two registers, its quarters 0 and 1 added, and 2 and 3: a's, then b's.
PARE_INLINE __m512 add_quarters(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

// The sum of the lanes of each of 16 registers.
PARE_INLINE __m512 sums_of_lanes(const __m512* in) {
  __m512 pairs[8], fours[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512 a = in[2 * i], b = in[2 * i + 1];
    pairs[i] = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(pairs[2 * i]), b = _mm512_castps_pd(pairs[2 * i + 1]);
    fours[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  return add_quarters(add_quarters(fours[0], fours[1]), add_quarters(fours[2], fours[3]));
}

template <class C, int kTokens>
void dot_rows(const uint8_t* in, int64_t rows, int64_t columns, const Int8Rows& x, float* y,
              int64_t y_stride) {
  constexpr int kSpanBytes = kSpanColumns / C::kColumns * C::kBytes;
  const C codec;
  const uint8_t* const end = in + rows * (columns / C::kColumns) * C::kBytes;
  [[maybe_unused]] Tail<C> tail;
  __m512 totals[kTokens][Dot::kRows];
  for (int64_t r = 0; r < rows; ++r) {
    Sums<C, kTokens> sums;
    sums.clear(&sums);
    int64_t c = 0;
    for (; c + kSpanColumns <= columns; c += kSpanColumns, in += kSpanBytes) {
      ask_ahead<kSpanBytes>(in);
      sums.add(&sums, codec, in, x, c);
    }
    if constexpr (C::kColumns < kSpanColumns) {
      if (const auto left = static_cast<int>(columns - c); left != 0) {
        ask_ahead<kSpanBytes>(in);
        // With the next row's blocks behind them where that is there: copies are waited for.
        const uint8_t* const whole = end - in >= kSpanBytes ? in : tail.copy(in, left);
        sums.add_first(&sums, codec, whole, x, c, left);
        in += left / C::kColumns * C::kBytes;
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) totals[t][r] = sums.total(sums, t);
  }
  const auto mask = static_cast<__mmask16>((1u << rows) - 1);
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    for (int64_t r = rows; r < Dot::kRows; ++r) totals[t][r] = _mm512_setzero_ps();
    _mm512_mask_storeu_ps(y + t * y_stride, mask, sums_of_lanes(totals[t]));
  }
}

// Sums of so many tokens, and a span's levels, are in registers.
constexpr int kAtOnce = 8;

template <class C>
void dot(const std::byte* weight, int64_t rows, int64_t columns, const Int8Rows& x, int64_t tokens,
         float* y, int64_t y_stride) {
  with_tokens<kAtOnce>(tokens, [&](auto count) {
    dot_rows<C, count>(reinterpret_cast<const uint8_t*>(weight), rows, columns, x, y, y_stride);
  });
}

// With more, panels are faster. What has less than four bits takes longer to unpack.
template <class C>
inline constexpr int kMostTokens =
    C::kForm.scale_len == 32 && 8 * C::kBytes >= 4 * C::kColumns ? 12 : kAlikeTokens;

template <class... C>
std::span<const Dot> dots(Codecs<C...>) {
  static const Dot kDots[] = {
      {C::kId, dot<C>, kAtOnce, kMostTokens<C>, C::kForm.scale_len == 32 ? kHalvedColumns : 0}...};
  return kDots;
}

// --- unpacking ---

PARE_INLINE void store(__m256 v, float* out) { _mm256_store_ps(out, v); }
PARE_INLINE void store(__m512 v, float* out) { _mm512_store_ps(out, v); }

template <class C>
PARE_INLINE void put_span(const C& codec, const uint8_t* in, int64_t column, PlanarPiece* out) {
  Span<C> s;
  codec.load(in, &s);
  if constexpr (kComesHalved<C>) put_in_order(&s);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) _mm512_store_si512(out->level + column + 64 * j, s.level[j]);
  store(s.scale, out->scale + column / C::kForm.scale_len);
  if constexpr (C::kForm.offset_len != 0) {
    store(s.offset, out->offset + column / C::kForm.offset_len);
  }
}

template <class C>
void unpack(const std::byte* bytes, int64_t columns, PlanarPiece* out) {
  constexpr int kSpanBytes = kSpanColumns / C::kColumns * C::kBytes;
  const auto* in = reinterpret_cast<const uint8_t*>(bytes);
  const C codec;
  int64_t c = 0;
  for (; c + kSpanColumns <= columns; c += kSpanColumns, in += kSpanBytes) {
    put_span(codec, in, c, out);
  }
  if (C::kColumns < kSpanColumns && c < columns) {
    Tail<C> tail;
    put_span(codec, tail.copy(in, columns - c), c, out);
  }
}

template <class... C>
std::span<const Unpacker> unpackers(Codecs<C...>) {
  static const Unpacker kUnpackers[] = {{"avx512", C::kId, C::kForm, unpack<C>}...};
  return kUnpackers;
}

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

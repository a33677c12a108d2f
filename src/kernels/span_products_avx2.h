// Products of spans with few tokens, for AVX2: levels meet activations here, once for all codecs.
// With PARE_DPBUSD(sum, w, x), AVX-VNNI's: it adds four products at once, of all levels there are.
#pragma once

#include "kernels/span_scales_avx2.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

template <class C>
inline constexpr bool kSignsApart =
    C::kLevels == Levels::kMagnitudes || C::kLevels == Levels::kMagnitudeCodes;
template <class C>
inline constexpr bool kHasCodes =
    C::kLevels == Levels::kCodes || C::kLevels == Levels::kMagnitudeCodes;
// Sums of four products of unsigned with signed bytes in 32 bits.
#if defined(PARE_DPBUSD)
inline constexpr bool kVnni = true;
PARE_INLINE __m256i add_fours(__m256i sum, __m256i w, __m256i q) { return PARE_DPBUSD(sum, w, q); }
#else
inline constexpr bool kVnni = false;
PARE_INLINE __m256i add_fours(__m256i sum, __m256i w, __m256i q) {
  const __m256i pairs = _mm256_maddubs_epi16(w, q);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif
// Signed levels become magnitudes, whose signs go to the activations, or are biased.
template <class C>
inline constexpr bool kBiased = kVnni&& C::kLevels == Levels::kSigned;
template <class C>
inline constexpr bool kMagnitude = !kVnni && C::kLevels == Levels::kSigned;
template <class C>
inline constexpr int kZeroLevel = kBiased<C> ? 128 : C::kZero;
// Whether there are terms in the sums of activations: zeros or offsets, of 32 columns or of 16.
template <class C>
inline constexpr bool kCorrects32 =
    C::kLevels == Levels::kOffset || C::kLevels == Levels::kPlain || kBiased<C>;
template <class C>
inline constexpr bool kCorrects16 = C::kLevels == Levels::kCodes || C::kLevels == Levels::kPlain16;

template <class C, int kTokens>
class Sums2 : public SpanScales {
 public:
  // `scales`: kTokens of them. Not in here, where their addresses would keep sums in memory too.
  PARE_METHOD Sums2(const Int8Rows& x, Scales<C>* scales) : x_(x), scales_(scales) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      products_[0][t] = products_[1][t] = corrections_[t] = _mm256_setzero_ps();
    }
  }

  // head: of codecs that look ahead.
  template <class... Head>
  PARE_METHOD void add(const C& codec, const uint8_t* in, int64_t column, const Head&... head) {
    column_ = column;
    // Or the compiler keeps the address of each scale, more of them than there are registers.
    __asm__("" : "+r"(scales_));
    codec.load(in, head..., this);
  }

  // `columns` of the span are the row's; blocks behind them may be anything.
  PARE_METHOD void add_first(const C& codec, const uint8_t* in, int64_t column, int64_t columns) {
    columns_ = columns;
    add(codec, in, column);
    columns_ = kSpanColumns;
  }

  PARE_METHOD void ready() {
    if constexpr (C::kColumns < kSpanColumns) {
      if (columns_ != kSpanColumns) keep_first();
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      if constexpr (kCorrects32<C>) {
        correct(t, C::kLevels == Levels::kOffset ? offset : scale, x_.sum + at(t) / 32);
      } else if constexpr (kCorrects16<C>) {
        correct(t, by_16[0], x_.sum16 + at(t) / 16);
        correct(t, by_16[1], x_.sum16 + at(t) / 16 + 8);
      }
      scales_[t].set(*this, x_, at(t));
    }
  }

  PARE_METHOD void put(int j, __m256i level, __m256i sign = __m256i()) {
    const __m256i w = as_unsigned(level);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      __m256i q = load32(reinterpret_cast<const uint8_t*>(x_.q) + at(t) + 32 * j);
      if constexpr (kSignsApart<C>) q = _mm256_sign_epi8(q, sign);
      if constexpr (kMagnitude<C>) q = _mm256_sign_epi8(q, level);
      add_scaled(t, j,
                 kHasCodes<C> ? _mm256_madd_epi16(_mm256_maddubs_epi16(w, q), codes_of(j))
                              : add_fours(_mm256_setzero_si256(), w, q));
    }
  }

  PARE_METHOD void put_pair(int p, __m256i low, __m256i high) {
    const __m256i w[2] = {as_unsigned(low), as_unsigned(high)};
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const auto* x = reinterpret_cast<const uint8_t*>(x_.q) + at(t) + 64 * p;
      __m256i q[2] = {load32(x), load32(x + 32)};
      if constexpr (kMagnitude<C>) {
        q[0] = _mm256_sign_epi8(q[0], low);
        q[1] = _mm256_sign_epi8(q[1], high);
      }
      if constexpr (kVnni || C::kLevels == Levels::kSigned) {
        const __m256i first = add_fours(_mm256_setzero_si256(), w[0], q[0]);
        add_scaled(t, p, add_fours(first, w[1], q[1]));
      } else {
        // Unsigned levels here are at most 31, so that sums of four products fit 16 bits.
        const __m256i pairs =
            _mm256_add_epi16(_mm256_maddubs_epi16(w[0], q[0]), _mm256_maddubs_epi16(w[1], q[1]));
        add_scaled(t, p, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      }
    }
  }

  PARE_METHOD float total(int t) const {
    const __m256 sum = _mm256_add_ps(products_[0][t], products_[1][t]);
    constexpr bool kOffsets = C::kLevels == Levels::kOffset || C::kOffset16;
    const __m256 factor = _mm256_set1_ps(kOffsets ? 1.0f : static_cast<float>(-kZeroLevel<C>));
    const __m256 all =
        kCorrects32<C> || kCorrects16<C> ? _mm256_fmadd_ps(factor, corrections_[t], sum) : sum;
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
  }

 private:
  PARE_METHOD static __m256i as_unsigned(__m256i level) {
    if constexpr (kBiased<C>) return _mm256_xor_si256(level, splat2(128));
    return kMagnitude<C> ? _mm256_abs_epi8(level) : level;
  }
  PARE_METHOD int64_t at(int t) const { return t * x_.stride + column_; }
  // Clears the scales behind the row's columns.
  PARE_METHOD void keep_first() {
    static_assert(!kHasCodes<C>);
    const __m256i group = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const auto kept = [&](__m256 v, int64_t groups) __attribute__((always_inline)) {
      const __m256i count = _mm256_set1_epi32(static_cast<int>(groups));
      return _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, group)));
    };
    if constexpr (C::kLevels == Levels::kPlain16) {
      by_16[0] = kept(by_16[0], columns_ / 16);
      by_16[1] = kept(by_16[1], columns_ / 16 - 8);
    } else {
      scale = kept(scale, columns_ / 32);
    }
    if constexpr (C::kLevels == Levels::kOffset) offset = kept(offset, columns_ / 32);
  }
  PARE_METHOD void correct(int t, __m256 factor, const float* sums) {
    corrections_[t] = _mm256_fmadd_ps(factor, _mm256_loadu_ps(sums), corrections_[t]);
  }
  PARE_METHOD void add_scaled(int t, int j, __m256i dots) {
    products_[j % 2][t] =
        _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scales_[t].of(j), products_[j % 2][t]);
  }
  // The codes of register j's two groups, for each pair.
  PARE_METHOD __m256i codes_of(int j) const {
    const __m256i own = _mm256_set1_epi16(static_cast<int16_t>(2 * j | (2 * j + 1) << 8));
    return _mm256_shuffle_epi8(codes, own);
  }

  const Int8Rows x_;
  int64_t column_ = 0, columns_ = kSpanColumns;
  Scales<C>* scales_;
  __m256 products_[2][kTokens];  // of neighbouring registers apart: one need not wait for the other
  __m256 corrections_[kTokens];
};

// A codec may have a type Ahead and look(block, Ahead*): load then gets what was looked up a span
// before.
template <class C>
concept LooksAhead = requires {
  typename C::Ahead;
};

template <LooksAhead C, int kTokens>
void dot_rows2(const uint8_t* in, int64_t rows, int64_t columns, const Int8Rows& x, float* y,
               int64_t y_stride) {
  static_assert(C::kColumns == kSpanColumns);
  const C codec;
  Scales<C> scales[kTokens];
  typename C::Ahead ahead[2];
  const uint8_t* const last = in + (rows * columns / kSpanColumns - 1) * C::kBytes;
  int now = 0;
  codec.look(in, &ahead[now]);
  for (int64_t r = 0; r < rows; ++r) {
    Sums2<C, kTokens> sums(x, scales);
    for (int64_t c = 0; c < columns; c += kSpanColumns, in += C::kBytes, now = 1 - now) {
      ask_ahead<C::kBytes>(in);
      codec.look(in == last ? in : in + C::kBytes, &ahead[1 - now]);
      sums.add(codec, in, c, ahead[now]);
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) y[t * y_stride + r] = sums.total(t);
  }
}

template <class C, int kTokens>
void dot_rows2(const uint8_t* in, int64_t rows, int64_t columns, const Int8Rows& x, float* y,
               int64_t y_stride) {
  constexpr int kSpanBytes = kSpanColumns / C::kColumns * C::kBytes;
  const uint8_t* const end = in + rows * (columns / C::kColumns) * C::kBytes;
  const C codec;
  [[maybe_unused]] Tail<C> tail;
  Scales<C> scales[kTokens];
  for (int64_t r = 0; r < rows; ++r) {
    Sums2<C, kTokens> sums(x, scales);
    int64_t c = 0;
    for (; c + kSpanColumns <= columns; c += kSpanColumns, in += kSpanBytes) {
      ask_ahead<kSpanBytes>(in);
      sums.add(codec, in, c);
    }
    if constexpr (C::kColumns < kSpanColumns) {
      if (const int64_t left = columns - c; left != 0) {
        ask_ahead<kSpanBytes>(in);
        // With the next row's blocks behind them where that is there: copies are waited for.
        const uint8_t* const whole = end - in >= kSpanBytes ? in : tail.copy(in, left);
        sums.add_first(codec, whole, c, left);
        in += left / C::kColumns * C::kBytes;
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) y[t * y_stride + r] = sums.total(t);
  }
}

constexpr int kAtOnce2 = 4;

template <class C>
void dot2(const std::byte* weight, int64_t rows, int64_t columns, const Int8Rows& x, int64_t tokens,
          float* y, int64_t y_stride) {
  with_tokens<kAtOnce2>(tokens, [&](auto count) {
    dot_rows2<C, count>(reinterpret_cast<const uint8_t*>(weight), rows, columns, x, y, y_stride);
  });
}

template <class... C>
std::span<const Dot> dots2(Codecs<C...>) {
  static const Dot kDots[] = {{C::kId, dot2<C>, kAtOnce2, kAlikeTokens, C::kPairs ? 64 : 0}...};
  return kDots;
}

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

// Quantized panels and tiles for AVX2. vpmaddubsw multiplies unsigned with signed bytes and adds
// pairs in 16 bits, with saturation, so forms differ by their largest level: up to 16, eight such
// pairs can be added before they are widened; up to 32, four; up to 64, two; up to 127, one. Above,
// panels are multiplied in 16 bits.
#include "kernels/core_avx2.h"

#if defined(__x86_64__)

#include <cstring>

#include "base/check.h"

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")

namespace pare {
namespace {

using namespace avx2;

// How many steps of vpmaddubsw are added in 16 bits; kWide: none, levels are widened; kWords:
// they are 16-bit integers already.
enum class Range { kWords = -1, kWide = 0, k127 = 1, k64 = 2, k32 = 4, k16 = 8 };

Range range_of(const PlanarForm& form) {
  if (form.max_level > 127) return Range::kWide;
  if (form.max_level > 64) return Range::k127;
  if (form.max_level > 32) return Range::k64;
  return form.max_level > 16 ? Range::k32 : Range::k16;
}

// Of forms with offsets, only that of the plain unpackers has levels that begin below zero.
constexpr bool has_zero(int scale_len, int offset_len) {
  return offset_len == 0 || (scale_len == 16 && offset_len == 16);
}

// Four bytes or two 16-bit integers, eight times.
PARE_INLINE __m256i broadcast_word(const void* p) {
  int32_t word;
  std::memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

// sum += products, in place. The compiler would copy the sums of every step, or reorder the steps
// until all their products had to be there at once; so it is told the instructions.
//
// Products of bytes, of which pairs are added, in 16 bits.
PARE_INLINE void add_pairs(__m256i* sum, __m256i w, __m256i x) {
  __m256i product;
  __asm__("vpmaddubsw %[x], %[w], %[product]\n\tvpaddw %[product], %[sum], %[sum]"
          : [product] "=&x"(product), [sum] "+x"(*sum)
          : [w] "x"(w), [x] "x"(x));
}
// Products of bytes, of which fours are added, in 32 bits.
PARE_INLINE void add_fours(__m256i* sum, __m256i w, __m256i x, __m256i ones) {
  __m256i product;
  __asm__(
      "vpmaddubsw %[x], %[w], %[product]\n\tvpmaddwd %[ones], %[product], %[product]\n\t"
      "vpaddd %[product], %[sum], %[sum]"
      : [product] "=&x"(product), [sum] "+x"(*sum)
      : [w] "x"(w), [x] "x"(x), [ones] "xm"(ones));
}
// Products of 16-bit integers, of which pairs are added, in 32 bits.
PARE_INLINE void add_wide(__m256i* sum, __m256i w, __m256i x) {
  __m256i product;
  __asm__("vpmaddwd %[x], %[w], %[product]\n\tvpaddd %[product], %[sum], %[sum]"
          : [product] "=&x"(product), [sum] "+x"(*sum)
          : [w] "x"(w), [x] "x"(x));
}

// Calls finish(t, v, sums) with `start` plus the products of kWords words of levels, rows
// 8 v .. 8 v + 7, and token t.
template <Range kRange, int kCount, int kWords, bool kStart, class Finish>
PARE_INLINE void multiply(const uint8_t* level, const int8_t* q, const int32_t* start,
                          const Finish& finish) {
  const __m256i ones = _mm256_set1_epi16(1);
  constexpr int kStep = static_cast<int>(kRange);
  if constexpr (kStep <= 1) {
    __m256i dots[kCount][2];
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t) {
      dots[t][0] = dots[t][1] = kStart ? broadcast_word(start + t) : _mm256_setzero_si256();
    }
    const auto add = [&](__m256i w0, __m256i w1, const int8_t* words)
        __attribute__((always_inline)) {
#pragma GCC unroll 6
      for (int t = 0; t < kCount; ++t) {
        const __m256i x = broadcast_word(words + 4 * t);
        if constexpr (kStep <= 0) {
          add_wide(&dots[t][0], w0, x);
          add_wide(&dots[t][1], w1, x);
        } else {
          add_fours(&dots[t][0], w0, x, ones);
          add_fours(&dots[t][1], w1, x, ones);
        }
      }
    };
#pragma GCC unroll 8
    for (int k = 0; k < kWords; ++k) {
      if constexpr (kRange == Range::kWords) {
        const uint8_t* words = level + 128 * k;
        add(load_bytes(words), load_bytes(words + 32), q + 8 * kTokens * k);
        add(load_bytes(words + 64), load_bytes(words + 96), q + 8 * kTokens * k + 4 * kTokens);
        continue;
      }
      const __m256i w0 = load_bytes(level + 64 * k), w1 = load_bytes(level + 64 * k + 32);
      if constexpr (kRange == Range::kWide) {
        const __m256i even = _mm256_set1_epi16(255);
        add(_mm256_and_si256(w0, even), _mm256_and_si256(w1, even), q + 8 * kTokens * k);
        add(_mm256_srli_epi16(w0, 8), _mm256_srli_epi16(w1, 8), q + 8 * kTokens * k + 4 * kTokens);
      } else {
        add(w0, w1, q + 4 * kTokens * k);
      }
    }
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t) {
      finish(t, 0, dots[t][0]);
      finish(t, 1, dots[t][1]);
    }
  } else {
    constexpr int kRun = kStep < kWords ? kStep : kWords;
    alignas(32) float memory[16 * kCount];
    const Kept earlier(memory);
#pragma GCC unroll 4
    for (int begin = 0; begin < kWords; begin += kRun) {
      __m256i pairs[kCount][2];
#pragma GCC unroll 8
      for (int k = begin; k < begin + kRun; ++k) {
        const __m256i w0 = load_bytes(level + 64 * k), w1 = load_bytes(level + 64 * k + 32);
#pragma GCC unroll 6
        for (int t = 0; t < kCount; ++t) {
          const __m256i x = broadcast_word(q + 4 * (kTokens * k + t));
          if (k == begin) {
            pairs[t][0] = _mm256_maddubs_epi16(w0, x);
            pairs[t][1] = _mm256_maddubs_epi16(w1, x);
          } else {
            add_pairs(&pairs[t][0], w0, x);
            add_pairs(&pairs[t][1], w1, x);
          }
        }
      }
#pragma GCC unroll 6
      for (int t = 0; t < kCount; ++t) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          __m256i dots = _mm256_madd_epi16(pairs[t][v], ones);
          if (begin != 0) {
            dots = _mm256_add_epi32(dots, earlier.get_integers(t, v));
          } else if (kStart) {
            dots = _mm256_add_epi32(dots, broadcast_word(start + t));
          }
          if (begin + kRun == kWords) {
            finish(t, v, dots);
          } else {
            earlier.set(t, v, dots);
          }
        }
      }
    }
  }
}

template <Range kRange, int kCount, int kScaleLen, int kOffsetLen>
PARE_INLINE void many_block(const Panel& panel, int64_t columns, const QuantizedTile& x,
                            const Core::Output& out) {
  alignas(32) float memory[16 * kCount];
  const Kept sums(memory);
  begin_sums<kCount>(out, sums);
  constexpr int kOffsets = kOffsetLen == 0 ? 0 : kScaleLen / kOffsetLen;  // of each scale
  const uint8_t* level = panel.level;
  const float* scale = panel.scale;
  const float* offset = panel.offset;
  const int8_t* q = x.q;
  const float* x_scale = x.scale;
  const float* x_sum = x.sum;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < columns; c += 32) {
#pragma GCC unroll 2
    for (int part = 0; part < 32 / kScaleLen; ++part) {
      constexpr bool kStart = kRange != Range::kWords && has_zero(kScaleLen, kOffsetLen);
      multiply<kRange, kCount, kScaleLen / 4, kStart>(
          level, q, start, [&](int t, int v, __m256i dots) __attribute__((always_inline)) {
            const __m256 s = _mm256_load_ps(scale + 8 * v);
            const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), s);
            __m256 sum = sums.get(t, v);
            sum = _mm256_fmadd_ps(product, _mm256_broadcast_ss(x_scale + t), sum);
#pragma GCC unroll 2
            for (int i = 0; i < kOffsets; ++i) {
              sum = _mm256_fmadd_ps(_mm256_load_ps(offset + kRows * i + 8 * v),
                                    _mm256_broadcast_ss(x_sum + kTokens * i + t), sum);
            }
            sums.set(t, v, sum);
          });
      level += kScaleLen * kRows * (kRange == Range::kWords ? 2 : 1);
      q += kScaleLen * kTokens * (kRange <= Range::kWide ? 2 : 1);
      scale += kRows;
      offset += kOffsets * kRows;
      x_sum += kOffsets * kTokens;
      start += kTokens;
    }
    x_scale += kTokens;
    stay_in_memory();
  }
  end_sums<kCount>(out, sums);
}

template <Range kRange, int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
          const Core::Output& out) {
  if (tokens == kTokens) {
    return many_block<kRange, kTokens, kScaleLen, kOffsetLen>(panel, columns, x, out);
  }
  int64_t t = 0;
  const auto from = [&] {
    return QuantizedTile{x.q + 4 * t, x.scale + t, x.start + t,
                         kOffsetLen == 0 ? nullptr : x.sum + t};
  };
  for (; t + 2 <= tokens; t += 2) {
    many_block<kRange, 2, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
  if (t < tokens) {
    many_block<kRange, 1, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
}

template <Range kRange>
Core::Many choose_many_in(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? many<kRange, 32, 0> : many<kRange, 16, 0>;
  if (form.offset_len == 32) return many<kRange, 32, 32>;
  return form.scale_len == 32 ? many<kRange, 32, 16> : many<kRange, 16, 16>;
}

}  // namespace

Core::Many avx2_many(const PlanarForm& form) {
  PARE_CHECK(has_zero(form.scale_len, form.offset_len) || form.zero == 0,
             "no form with this zero and these offsets is known");
  switch (range_of(form)) {
    case Range::kWords:  // no form has them
    case Range::kWide:
      return choose_many_in<Range::kWide>(form);
    case Range::k127:
      return choose_many_in<Range::k127>(form);
    case Range::k64:
      return choose_many_in<Range::k64>(form);
    case Range::k32:
      return choose_many_in<Range::k32>(form);
    case Range::k16:
      break;
  }
  return choose_many_in<Range::k16>(form);
}

void avx2_many_wide(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
                    const Core::Output& out) {
  many<Range::kWords, 32, 0>(panel, columns, x, tokens, out);
}

bool avx2_wide(const PlanarForm& form) { return range_of(form) == Range::kWide; }

}  // namespace pare

HWY_POP_ATTRIBUTES

#endif  // __x86_64__

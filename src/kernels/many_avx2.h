// Quantized panels and tiles in registers of 32 bytes. For files that say what instructions there
// are, PARE_MANY_TARGET, and what multiplies (`Steps`, below).
#pragma once

#include "kernels/core_avx2.h"

#if defined(__x86_64__)

#include <cstring>

#include "base/check.h"

HWY_PUSH_ATTRIBUTES(PARE_MANY_TARGET)

namespace pare::avx2 {
namespace {

// How many products of bytes are added in 16 bits before those are added in 32; kWide: none, levels
// are widened; kWords: they are 16-bit integers already.
enum class Range { kWords = -1, kWide = 0, k1 = 1, k2 = 2, k4 = 4, k8 = 8 };

// Steps has add_fours(sum, w, x), sums of four products of bytes in 32 bits, add_wide(sum, w, x),
// of two products of 16 bits, and where a Range of 2 or more is used add_pairs(sum, w, x), of two
// products of bytes in 16 bits.

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

// Calls finish(t, v, sums) with `start` plus the products of kWords words of levels, rows
// 8 v .. 8 v + 7, and token t.
template <class Steps, Range kRange, int kCount, int kWords, bool kStart, class Finish>
PARE_INLINE void multiply(const uint8_t* level, const int8_t* q, const int32_t* start,
                          const Finish& finish) {
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
          Steps::add_wide(&dots[t][0], w0, x);
          Steps::add_wide(&dots[t][1], w1, x);
        } else {
          Steps::add_fours(&dots[t][0], w0, x);
          Steps::add_fours(&dots[t][1], w1, x);
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
    const __m256i ones = _mm256_set1_epi16(1);
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
            Steps::add_pairs(&pairs[t][0], w0, x);
            Steps::add_pairs(&pairs[t][1], w1, x);
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

template <class Steps, Range kRange, int kCount, int kScaleLen, int kOffsetLen>
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
      multiply<Steps, kRange, kCount, kScaleLen / 4, kStart>(
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

template <class Steps, Range kRange, int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
          const Core::Output& out) {
  if (tokens == kTokens) {
    return many_block<Steps, kRange, kTokens, kScaleLen, kOffsetLen>(panel, columns, x, out);
  }
  int64_t t = 0;
  const auto from = [&] {
    return QuantizedTile{x.q + 4 * t, x.scale + t, x.start + t,
                         kOffsetLen == 0 ? nullptr : x.sum + t};
  };
  for (; t + 2 <= tokens; t += 2) {
    many_block<Steps, kRange, 2, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
  if (t < tokens) {
    many_block<Steps, kRange, 1, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
}

template <class Steps, Range kRange>
Core::Many choose_many(const PlanarForm& form) {
  PARE_CHECK(has_zero(form.scale_len, form.offset_len) || form.zero == 0,
             "no form with this zero and these offsets is known");
  if (form.offset_len == 0) {
    return form.scale_len == 32 ? many<Steps, kRange, 32, 0> : many<Steps, kRange, 16, 0>;
  }
  if (form.offset_len == 32) return many<Steps, kRange, 32, 32>;
  return form.scale_len == 32 ? many<Steps, kRange, 32, 16> : many<Steps, kRange, 16, 16>;
}

}  // namespace
}  // namespace pare::avx2

HWY_POP_ATTRIBUTES

#endif  // __x86_64__

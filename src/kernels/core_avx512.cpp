// The core for AVX-512 with VNNI: vpdpbusd multiplies 64 unsigned levels with 64 signed
// activations and adds runs of four to 16 integers. Products of floats share its two ports, sums
// and conversions do not; that is what the shapes below are made for. core_avx512_few.cpp
// multiplies few tokens.
#include "kernels/core_avx512.h"

#if defined(__x86_64__)

#include <cstring>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES(PARE_AVX512_TARGET)

#include "kernels/transpose_avx512.h"

namespace pare {
namespace {

constexpr int kRows = 16;    // of a panel: the lanes of a register
constexpr int kTokens = 12;  // of a tile: with two accumulators each they fill the registers

// --- many tokens ---

void transpose_words(const void* in, int64_t row_bytes, int64_t words, void* out) {
  for (int64_t w = 0; w < words; w += 16) {
    __m512i columns[16];
    transpose(static_cast<const uint32_t*>(in) + w, row_bytes / 4, columns);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      _mm512_store_si512(static_cast<uint32_t*>(out) + (w + i) * kRows, columns[i]);
    }
  }
}

void interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                const Panel& out) {
  constexpr int64_t kStride = sizeof(PlanarPiece);
  transpose_words(rows->level, kStride, columns / 4, out.level);
  transpose_words(rows->scale, kStride, columns / form.scale_len, out.scale);
  if (form.offset_len != 0) {
    transpose_words(rows->offset, kStride, columns / form.offset_len, out.offset);
  }
}

int no_bias(const PlanarForm&) { return 0; }

template <int kCount>
PARE_INLINE void begin_sums(const Core::Output& out, __m512* sums) {
  const auto mask = static_cast<__mmask16>((1u << out.rows) - 1);
  const __m512 bias =
      out.bias != nullptr ? _mm512_maskz_loadu_ps(mask, out.bias) : _mm512_setzero_ps();
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t) {
    sums[t] = out.first ? bias : _mm512_maskz_loadu_ps(mask, out.y + t * out.y_stride);
  }
}

template <int kCount>
PARE_INLINE void end_sums(const Core::Output& out, const __m512* sums) {
  const auto mask = static_cast<__mmask16>((1u << out.rows) - 1);
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t) {
    _mm512_mask_storeu_ps(out.y + t * out.y_stride, mask, sums[t]);
  }
}

PARE_INLINE int32_t word(const int8_t* q) {
  int32_t bits;
  std::memcpy(&bits, q, sizeof bits);
  return bits;
}

// Adds the products of kCount / 4 words of levels to integers that begin with `start`.
template <int kCount, int kWords>
PARE_INLINE void multiply(const uint8_t* level, const int8_t* q, const int32_t* start,
                          __m512i* dots) {
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t) dots[t] = _mm512_set1_epi32(start[t]);
#pragma GCC unroll 8
  for (int k = 0; k < kWords; ++k) {
    const __m512i w = _mm512_load_si512(level + 64 * k);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      const int32_t x = word(q + 4 * (kTokens * k + t));
      dots[t] = _mm512_dpbusd_epi32(dots[t], w, _mm512_set1_epi32(x));
    }
  }
}

// Adds the products of 32 columns with scales of 16.
template <int kCount>
PARE_INLINE void add_halves(const uint8_t* level, const float* scale, const int8_t* q,
                            const int32_t* start, const float* x_scale, __m512* sums) {
  __m512i dots[2][kCount];
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t) {
    dots[0][t] = _mm512_set1_epi32(start[t]);
    dots[1][t] = _mm512_set1_epi32(start[kTokens + t]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int at = k + 4 * half;
      const __m512i w = _mm512_load_si512(level + 64 * at);
#pragma GCC unroll 12
      for (int t = 0; t < kCount; ++t) {
        const int32_t x = word(q + 4 * (kTokens * at + t));
        dots[half][t] = _mm512_dpbusd_epi32(dots[half][t], w, _mm512_set1_epi32(x));
      }
    }
  }
  const __m512 s0 = _mm512_load_ps(scale), s1 = _mm512_load_ps(scale + kRows);
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t) {
    const __m512 first = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[0][t]), s0);
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[1][t]), s1, first);
    sums[t] = _mm512_fmadd_ps(both, _mm512_set1_ps(x_scale[t]), sums[t]);
  }
}

template <int kCount, int kScaleLen, int kOffsetLen>
PARE_INLINE void many_block(const Panel& panel, int64_t columns, const QuantizedTile& x,
                            const Core::Output& out) {
  __m512 sums[kCount];
  begin_sums<kCount>(out, sums);
  const uint8_t* level = panel.level;
  const float* scale = panel.scale;
  const float* offset = panel.offset;
  const int8_t* q = x.q;
  const float* x_scale = x.scale;
  const float* x_sum = x.sum;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < columns; c += 32) {
    if constexpr (kScaleLen == 32) {
      __m512i dots[kCount];
      multiply<kCount, 8>(level, q, start, dots);
      const __m512 s = _mm512_load_ps(scale);
#pragma GCC unroll 12
      for (int t = 0; t < kCount; ++t) {
        const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[t]), s);
        sums[t] = _mm512_fmadd_ps(product, _mm512_set1_ps(x_scale[t]), sums[t]);
      }
    } else {
      // Both halves of some tokens at a time, so that all sums fit the registers.
      constexpr int kPart = kCount == kTokens ? kTokens / 2 : kCount;
      add_halves<kPart>(level, scale, q, start, x_scale, sums);
      if constexpr (kPart != kCount) {
        add_halves<kPart>(level, scale, q + 4 * kPart, start + kPart, x_scale + kPart,
                          sums + kPart);
      }
    }
    if constexpr (kOffsetLen != 0) {
#pragma GCC unroll 2
      for (int half = 0; half < 32 / kOffsetLen; ++half) {
        const __m512 o = _mm512_load_ps(offset + half * kRows);
#pragma GCC unroll 12
        for (int t = 0; t < kCount; ++t) {
          sums[t] = _mm512_fmadd_ps(o, _mm512_set1_ps(x_sum[half * kTokens + t]), sums[t]);
        }
      }
      offset += 32 / kOffsetLen * kRows;
      x_sum += 32 / kOffsetLen * kTokens;
    }
    level += 32 * kRows;
    scale += 32 / kScaleLen * kRows;
    q += 32 * kTokens;
    x_scale += kTokens;
    start += 32 / kScaleLen * kTokens;
  }
  end_sums<kCount>(out, sums);
}

Core::Output advanced(const Core::Output& out, int64_t tokens) {
  Core::Output next = out;
  next.y += tokens * out.y_stride;
  return next;
}

template <int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
          const Core::Output& out) {
  int64_t t = 0;
  const auto from = [&] {
    return QuantizedTile{x.q + 4 * t, x.scale + t, x.start + t,
                         kOffsetLen == 0 ? nullptr : x.sum + t};
  };
  if (tokens == kTokens) {
    return many_block<kTokens, kScaleLen, kOffsetLen>(panel, columns, x, out);
  }
  if (tokens - t >= 8) {
    many_block<8, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
    t += 8;
  }
  if (tokens - t >= 4) {
    many_block<4, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
    t += 4;
  }
  if (tokens - t >= 2) {
    many_block<2, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
    t += 2;
  }
  if (tokens > t) many_block<1, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
}

Core::Many choose_many(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? many<32, 0> : many<16, 0>;
  if (form.offset_len == 32) return many<32, 32>;
  return form.scale_len == 32 ? many<32, 16> : many<16, 16>;
}

// --- float weights ---

void interleave_wide(const WidePiece* rows, int64_t columns, const Panel& out) {
  transpose_words(rows->level, sizeof(WidePiece), columns / 2, out.level);
  transpose_words(rows->scale, sizeof(WidePiece), columns / 32, out.scale);
}

// Words of two 16-bit integers take the place of words of four bytes.
template <int kCount>
PARE_INLINE void many_wide_block(const Panel& panel, int64_t columns, const QuantizedTile& x,
                                 const Core::Output& out) {
  __m512 sums[kCount];
  begin_sums<kCount>(out, sums);
  const uint8_t* level = panel.level;
  const float* scale = panel.scale;
  const int8_t* q = x.q;
  const float* x_scale = x.scale;
  for (int64_t c = 0; c < columns; c += 32, scale += kRows, x_scale += kTokens) {
    __m512i dots[kCount];
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) dots[t] = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (int k = 0; k < 16; ++k, level += 64, q += 4 * kTokens) {
      const __m512i w = _mm512_load_si512(level);
#pragma GCC unroll 12
      for (int t = 0; t < kCount; ++t) {
        dots[t] = _mm512_dpwssd_epi32(dots[t], w, _mm512_set1_epi32(word(q + 4 * t)));
      }
    }
    const __m512 s = _mm512_load_ps(scale);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[t]), s);
      sums[t] = _mm512_fmadd_ps(product, _mm512_set1_ps(x_scale[t]), sums[t]);
    }
  }
  end_sums<kCount>(out, sums);
}

void many_wide(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
               const Core::Output& out) {
  if (tokens == kTokens) return many_wide_block<kTokens>(panel, columns, x, out);
  int64_t t = 0;
  const auto from = [&] { return QuantizedTile{x.q + 4 * t, x.scale + t, nullptr, nullptr}; };
  for (; t + 4 <= tokens; t += 4) {
    many_wide_block<4>(panel, columns, from(), advanced(out, t));
  }
  for (; t < tokens; ++t) many_wide_block<1>(panel, columns, from(), advanced(out, t));
}

void interleave_floats(const float* rows, int64_t row_stride, int64_t columns, float* out) {
  transpose_words(rows, 4 * row_stride, columns, out);
}

template <int kCount>
PARE_INLINE void many_floats_block(const float* panel, int64_t columns, const float* x,
                                   const Core::Output& out) {
  __m512 sums[kCount];
  begin_sums<kCount>(out, sums);
  for (int64_t c = 0; c < columns; ++c) {
    const __m512 w = _mm512_load_ps(panel + c * kRows);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      sums[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[c * kTokens + t]), sums[t]);
    }
  }
  end_sums<kCount>(out, sums);
}

void many_floats(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                 const Core::Output& out) {
  if (tokens == kTokens) return many_floats_block<kTokens>(panel, columns, tile, out);
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) {
    many_floats_block<4>(panel, columns, tile + t, advanced(out, t));
  }
  for (; t < tokens; ++t) many_floats_block<1>(panel, columns, tile + t, advanced(out, t));
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

const Core& avx512_core() {
  static const Core core = {.level = CpuLevel::kAvx512,
                            .panel_rows = kRows,
                            .tile_tokens = kTokens,
                            .panel_columns = 1024,
                            .few = avx512_few,
                            .bias = no_bias,
                            .interleave = interleave,
                            .many = choose_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats,
                            .interleave_wide = interleave_wide,
                            .many_wide = many_wide};
  return core;
}

}  // namespace pare

#endif  // __x86_64__

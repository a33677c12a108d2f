// The core for AArch64 with dot products: sdot multiplies 16 signed bytes with 16 and adds runs of
// four. Levels of more than seven bits are kept less 128.
#include "kernels/core.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <hwy/base.h>

#include <algorithm>
#include <cstring>

HWY_PUSH_ATTRIBUTES("+dotprod")
#define PARE_INLINE static inline __attribute__((always_inline))

namespace pare {
namespace {

constexpr int kRows = 8;    // of a panel: two registers
constexpr int kTokens = 4;  // of a tile: the lanes of a register of their words

int bias(const PlanarForm& form) { return form.max_level > 127 ? 128 : 0; }

// Levels less the bias; flip: its sign bit.
PARE_INLINE int8x16_t load_levels(const uint8_t* p, uint8x16_t flip) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), flip));
}

// --- few tokens ---

template <int kScaleLen>
void few(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, const Int8Rows& x,
         int64_t tokens, float* sums) {
  const uint8x16_t flip = vdupq_n_u8(static_cast<uint8_t>(bias(form)));
  const float minus_zero = static_cast<float>(bias(form) - form.zero);
  for (int64_t t = 0; t < tokens; ++t) {
    const int8_t* q = x.q + t * x.stride;
    const float* x_scale = (kScaleLen == 32 ? x.scale : x.scale16) + t * x.stride / kScaleLen;
    const float* x_sum = (kScaleLen == 32 ? x.sum : x.sum16) + t * x.stride / kScaleLen;
    alignas(16) float both[kPieceColumns / 16];
    float32x4_t correction = vdupq_n_f32(0.0f);
    for (int64_t g = 0; g < columns / kScaleLen; g += 4) {
      const float32x4_t scale = vld1q_f32(piece.scale + g);
      vst1q_f32(both + g, vmulq_f32(scale, vld1q_f32(x_scale + g)));
      correction = vfmaq_f32(correction, vmulq_n_f32(scale, minus_zero), vld1q_f32(x_sum + g));
    }
    if (form.offset_len != 0) {
      const float* offset_sum =
          (form.offset_len == 32 ? x.sum : x.sum16) + t * x.stride / form.offset_len;
      for (int64_t g = 0; g < columns / form.offset_len; g += 4) {
        correction = vfmaq_f32(correction, vld1q_f32(piece.offset + g), vld1q_f32(offset_sum + g));
      }
    }
    float32x4_t acc[2] = {correction, vdupq_n_f32(0.0f)};
    for (int64_t c = 0; c < columns; c += 32) {
      int32x4_t first =
          vdotq_s32(vdupq_n_s32(0), load_levels(piece.level + c, flip), vld1q_s8(q + c));
      const int8x16_t w = load_levels(piece.level + c + 16, flip), y = vld1q_s8(q + c + 16);
      if constexpr (kScaleLen == 32) {
        first = vdotq_s32(first, w, y);
        float32x4_t& sum = acc[c / 32 % 2];
        sum = vfmaq_n_f32(sum, vcvtq_f32_s32(first), both[c / 32]);
      } else {
        const int32x4_t second = vdotq_s32(vdupq_n_s32(0), w, y);
        acc[0] = vfmaq_n_f32(acc[0], vcvtq_f32_s32(first), both[c / 16]);
        acc[1] = vfmaq_n_f32(acc[1], vcvtq_f32_s32(second), both[c / 16 + 1]);
      }
    }
    sums[t] += vaddvq_f32(vaddq_f32(acc[0], acc[1]));
  }
}

Core::Few choose_few(const PlanarForm& form) { return form.scale_len == 32 ? few<32> : few<16>; }

// --- many tokens ---

// kRows rows of words, `stride` words apart, as columns; all words are xored with `mask`.
void transpose_words(const void* in, int64_t row_bytes, int64_t words, uint32_t mask, void* out) {
  const auto* rows = static_cast<const uint32_t*>(in);
  auto* to = static_cast<uint32_t*>(out);
  for (int64_t w = 0; w < words; ++w) {
    for (int64_t r = 0; r < kRows; ++r) *to++ = rows[r * (row_bytes / 4) + w] ^ mask;
  }
}

void interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                const Panel& out) {
  constexpr int64_t kStride = sizeof(PlanarPiece);
  transpose_words(rows->level, kStride, columns / 4, bias(form) == 0 ? 0 : 0x80808080u, out.level);
  transpose_words(rows->scale, kStride, columns / form.scale_len, 0, out.scale);
  if (form.offset_len != 0) {
    transpose_words(rows->offset, kStride, columns / form.offset_len, 0, out.offset);
  }
}

// The sums of a panel's rows with a tile's tokens; tokens that are not there are zeros.
struct Sums {
  float32x4_t v[kTokens][2];
};

PARE_INLINE void begin_sums(const Core::Output& out, int64_t tokens, Sums* sums) {
  for (int64_t t = 0; t < kTokens; ++t) {
    float row[kRows] = {};
    const float* from = out.first ? out.bias : out.y + t * out.y_stride;
    if (t < tokens && from != nullptr) std::copy_n(from, out.rows, row);
    sums->v[t][0] = vld1q_f32(row);
    sums->v[t][1] = vld1q_f32(row + 4);
  }
}

PARE_INLINE void end_sums(const Core::Output& out, int64_t tokens, const Sums& sums) {
  for (int64_t t = 0; t < tokens; ++t) {
    float row[kRows];
    vst1q_f32(row, sums.v[t][0]);
    vst1q_f32(row + 4, sums.v[t][1]);
    std::copy_n(row, out.rows, out.y + t * out.y_stride);
  }
}

// Adds the products of one word of levels of each row with the tokens' words.
PARE_INLINE void multiply_word(const int8_t* level, const int8_t* q, int32x4_t dots[kTokens][2]) {
  const int8x16_t x = vld1q_s8(q);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const int8x16_t w = vld1q_s8(level + 16 * h);
    dots[0][h] = vdotq_laneq_s32(dots[0][h], w, x, 0);
    dots[1][h] = vdotq_laneq_s32(dots[1][h], w, x, 1);
    dots[2][h] = vdotq_laneq_s32(dots[2][h], w, x, 2);
    dots[3][h] = vdotq_laneq_s32(dots[3][h], w, x, 3);
  }
}

template <int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
          const Core::Output& out) {
  Sums sums;
  begin_sums(out, tokens, &sums);
  const auto* level = reinterpret_cast<const int8_t*>(panel.level);
  const int8_t* q = x.q;
  const float *scale = panel.scale, *offset = panel.offset, *x_scale = x.scale, *x_sum = x.sum;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < columns; c += 32) {
    for (int part = 0; part < 32 / kScaleLen; ++part) {
      int32x4_t dots[kTokens][2];
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) dots[t][0] = dots[t][1] = vdupq_n_s32(start[t]);
#pragma GCC unroll 8
      for (int k = 0; k < kScaleLen / 4; ++k) {
        multiply_word(level + 4 * kRows * k, q + 4 * kTokens * k, dots);
      }
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const float32x4_t s = vld1q_f32(scale + 4 * h);
#pragma GCC unroll 4
        for (int t = 0; t < kTokens; ++t) {
          const float32x4_t product = vmulq_f32(vcvtq_f32_s32(dots[t][h]), s);
          sums.v[t][h] = vfmaq_n_f32(sums.v[t][h], product, x_scale[t]);
        }
      }
      level += kScaleLen * kRows;
      q += kScaleLen * kTokens;
      scale += kRows;
      start += kTokens;
    }
    x_scale += kTokens;
    if constexpr (kOffsetLen != 0) {
      for (int part = 0; part < 32 / kOffsetLen; ++part) {
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const float32x4_t o = vld1q_f32(offset + 4 * h);
#pragma GCC unroll 4
          for (int t = 0; t < kTokens; ++t) {
            sums.v[t][h] = vfmaq_n_f32(sums.v[t][h], o, x_sum[t]);
          }
        }
        offset += kRows;
        x_sum += kTokens;
      }
    }
  }
  end_sums(out, tokens, sums);
}

Core::Many choose_many(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? many<32, 0> : many<16, 0>;
  if (form.offset_len == 32) return many<32, 32>;
  return form.scale_len == 32 ? many<32, 16> : many<16, 16>;
}

// --- float weights ---

void interleave_floats(const float* rows, int64_t row_stride, int64_t columns, float* out) {
  transpose_words(rows, 4 * row_stride, columns, 0, out);
}

void many_floats(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                 const Core::Output& out) {
  Sums sums;
  begin_sums(out, tokens, &sums);
  for (int64_t c = 0; c < columns; ++c) {
    const float32x4_t x = vld1q_f32(tile + c * kTokens);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const float32x4_t w = vld1q_f32(panel + c * kRows + 4 * h);
      sums.v[0][h] = vfmaq_laneq_f32(sums.v[0][h], w, x, 0);
      sums.v[1][h] = vfmaq_laneq_f32(sums.v[1][h], w, x, 1);
      sums.v[2][h] = vfmaq_laneq_f32(sums.v[2][h], w, x, 2);
      sums.v[3][h] = vfmaq_laneq_f32(sums.v[3][h], w, x, 3);
    }
  }
  end_sums(out, tokens, sums);
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

const Core& neon_core() {
  static const Core core = {.level = CpuLevel::kNeon,
                            .panel_rows = kRows,
                            .tile_tokens = kTokens,
                            .panel_columns = 1024,
                            .few = choose_few,
                            .bias = bias,
                            .interleave = interleave,
                            .many = choose_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats};
  return core;
}

}  // namespace pare

#endif  // __aarch64__

// The core in plain C++: what the others are tested against, and what unknown CPUs run.
#include <cstring>

#include "kernels/core.h"

namespace pare {
namespace {

constexpr int kRows = 4, kTokens = 4;

void few(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, const Int8Rows& x,
         int64_t tokens, float* sums) {
  for (int64_t t = 0; t < tokens; ++t) {
    const int8_t* q = x.q + t * x.stride;
    for (int64_t c = 0; c < columns; c += 16) {
      const int64_t group = (t * x.stride + c) / 16;
      int32_t dot = 0;
      for (int64_t i = c; i < c + 16; ++i) dot += (piece.level[i] - form.zero) * q[i];
      sums[t] += piece.scale[c / form.scale_len] * x.scale16[group] * static_cast<float>(dot);
      if (form.offset_len != 0) sums[t] += piece.offset[c / form.offset_len] * x.sum16[group];
    }
  }
}

Core::Few choose_few(const PlanarForm&) { return few; }

int no_bias(const PlanarForm&) { return 0; }

template <class T>
void transpose(const T* rows, int64_t row_stride, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t r = 0; r < kRows; ++r) *out++ = rows[r * row_stride + i];
  }
}

void interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                const Panel& out) {
  constexpr auto kStride = static_cast<int64_t>(sizeof(PlanarPiece));
  uint8_t* level = out.level;
  for (int64_t c = 0; c < columns; c += 4) {
    for (int r = 0; r < kRows; ++r, level += 4) std::memcpy(level, rows[r].level + c, 4);
  }
  transpose(rows->scale, kStride / 4, columns / form.scale_len, out.scale);
  if (form.offset_len != 0) {
    transpose(rows->offset, kStride / 4, columns / form.offset_len, out.offset);
  }
}

float& at(const Core::Output& out, int64_t token, int64_t row) {
  return out.y[token * out.y_stride + row];
}

void begin(const Core::Output& out, int64_t tokens) {
  if (!out.first) return;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < out.rows; ++r) at(out, t, r) = out.bias == nullptr ? 0 : out.bias[r];
  }
}

template <int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
          const Core::Output& out) {
  begin(out, tokens);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < out.rows; ++r) {
      float sum = at(out, t, r);
      for (int64_t g = 0; g < columns / kScaleLen; ++g) {
        int32_t dot = x.start[g * kTokens + t];
        for (int64_t c = g * kScaleLen; c < (g + 1) * kScaleLen; ++c) {
          dot += panel.level[c / 4 * 4 * kRows + 4 * r + c % 4] *
                 x.q[c / 4 * 4 * kTokens + 4 * t + c % 4];
        }
        sum += panel.scale[g * kRows + r] * x.scale[g * kScaleLen / 32 * kTokens + t] *
               static_cast<float>(dot);
      }
      if constexpr (kOffsetLen != 0) {
        for (int64_t g = 0; g < columns / kOffsetLen; ++g) {
          sum += panel.offset[g * kRows + r] * x.sum[g * kTokens + t];
        }
      }
      at(out, t, r) = sum;
    }
  }
}

Core::Many choose_many(const PlanarForm& form) {
  if (form.scale_len == 32) {
    return form.offset_len == 0 ? many<32, 0> : form.offset_len == 32 ? many<32, 32> : many<32, 16>;
  }
  return form.offset_len == 0 ? many<16, 0> : many<16, 16>;
}

void interleave_floats(const float* rows, int64_t row_stride, int64_t columns, float* out) {
  transpose(rows, row_stride, columns, out);
}

void many_floats(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                 const Core::Output& out) {
  begin(out, tokens);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < out.rows; ++r) {
      float sum = at(out, t, r);
      for (int64_t c = 0; c < columns; ++c) sum += panel[c * kRows + r] * tile[c * kTokens + t];
      at(out, t, r) = sum;
    }
  }
}

}  // namespace

const Core& ref_core() {
  static const Core core = {.level = CpuLevel::kRef,
                            .panel_rows = kRows,
                            .tile_tokens = kTokens,
                            .panel_columns = 1024,
                            .few = choose_few,
                            .bias = no_bias,
                            .interleave = interleave,
                            .many = choose_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats};
  return core;
}

}  // namespace pare

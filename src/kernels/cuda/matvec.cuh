// Products with 1 to 8 tokens, for one family of codecs. Quantized levels and activations are
// bytes, multiplied four at a time; float weights are multiplied as floats. Reading the weights is
// the bound. A warp takes one or two rows at a time, each lane a unit of each. For family_*.cu.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/units.h"

namespace pare::cuda {

inline constexpr int kMatvecWarps = 4;

struct MatvecArgs {
  Segment segment[kMaxSegments];
  int first_block[kMaxSegments + 1];  // of the grid
  int segments, columns, tokens;
  Int8Rows x;
  FloatRows floats;
  bool aligned;  // rows of floats can be read 16 bytes at a time
  Gate gate;
  Books books;
};

// Eight neighbouring weights of a float codec, 16 bytes at a time where `aligned`.
template <CodecId kFloatId>
struct FloatCodec {
  static constexpr CodecId kId = kFloatId;
  static constexpr bool kFloat = true;
  static constexpr int kBytes = kFloatId == CodecId::kF32 ? 4 : 2;
  static __device__ __forceinline__ float one(const uint8_t* p) {
    if (kId == CodecId::kF32) return __ldg(reinterpret_cast<const float*>(p));
    const uint32_t bits = load2(p);
    return kId == CodecId::kF16 ? half_to_float(bits) : bits_to_float(bits << 16);
  }
  template <typename P>
  static __device__ __forceinline__ void eight(P p, float (&w)[8]) {
#pragma unroll
    for (int i = 0; i < kBytes / 2; ++i) {
      const Words4 words = load16(p + 16 * i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (kId == CodecId::kF32) {
          w[(4 * i + j) % 8] = bits_to_float(words.w[j]);
        } else if (kId == CodecId::kF16) {
          w[2 * j] = half_to_float(words.w[j] & 0xffffu);
          w[2 * j + 1] = half_to_float(words.w[j] >> 16);
        } else {
          w[2 * j] = bits_to_float(words.w[j] << 16);
          w[2 * j + 1] = bits_to_float(words.w[j] & 0xffff0000u);
        }
      }
    }
  }
};
using FloatCodecs =
    CodecList<FloatCodec<CodecId::kF32>, FloatCodec<CodecId::kF16>, FloatCodec<CodecId::kBF16>>;
template <typename C>
concept IsFloat = requires {
  C::kFloat;
};

__device__ __forceinline__ Words4 read16(const int8_t* p) {
  const uint4 v = *reinterpret_cast<const uint4*>(p);
  return {{v.x, v.y, v.z, v.w}};
}

template <IsFloat C, int kRows, int kTokens>
__device__ void dot_rows(const MatvecArgs& a, const Matrix* const* matrix, const int* row,
                         float (&sum)[kRows][kTokens]) {
  const int lane = threadIdx.x % 32;
  const uint8_t* weight[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    weight[r] = matrix[r]->field[0] + static_cast<int64_t>(row[r]) * a.columns * C::kBytes;
  }
  const auto x_row = [&](int t) {
    return a.floats.data + (kTokens == 1 ? 0 : min(t, a.tokens - 1)) * a.floats.stride;
  };
  if (!a.aligned) {
    for (int c = lane; c < a.columns; c += 32) {
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        const float x = x_row(t)[c];
#pragma unroll
        for (int r = 0; r < kRows; ++r) sum[r][t] += C::one(weight[r] + c * C::kBytes) * x;
      }
    }
    return;
  }
#pragma unroll 2
  for (int c = 8 * lane; c < a.columns; c += 256) {
    float w[kRows][8];
#pragma unroll
    for (int r = 0; r < kRows; ++r) C::eight(weight[r] + c * C::kBytes, w[r]);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      const float4* x = reinterpret_cast<const float4*>(x_row(t) + c);
      const float4 p = x[0], q = x[1];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        sum[r][t] += w[r][0] * p.x + w[r][1] * p.y + w[r][2] * p.z + w[r][3] * p.w + w[r][4] * q.x +
                     w[r][5] * q.y + w[r][6] * q.z + w[r][7] * q.w;
      }
    }
  }
}

template <typename C, int kRows, int kTokens>
__device__ void dot_rows(const MatvecArgs& a, const Matrix* const* matrix, const int* row,
                         float (&sum)[kRows][kTokens]) {
  constexpr int kUnits = C::kBlockLen / kUnitColumns;
  const int lane = threadIdx.x % 32, blocks = a.columns / C::kBlockLen;
  for (int u = lane; u < blocks * kUnits; u += 32) {
    const int block = u / kUnits, within = u % kUnits;
    Unit unit[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t index = static_cast<int64_t>(row[r]) * blocks + block;
      C::unpack(block_at<C>(matrix[r]->field, index), within, a.books, &unit[r]);
    }
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      const int column = block * C::kBlockLen + C::column(within, g);
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        const int token = kTokens == 1 ? 0 : min(t, a.tokens - 1);
        const int64_t at = static_cast<int64_t>(token) * a.columns + column;
        const Words4 x = read16(a.x.q + at);
        const float scale = a.x.scale[at / 32];
        int all = 0;
        if (C::kZero != 0 || C::kOffsets) all = a.x.sum[at / 16];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          int dot = 0;
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            dot = __dp4a(static_cast<int>(unit[r].level[4 * g + i]), static_cast<int>(x.w[i]), dot);
          }
          if (C::kZero != 0) dot -= C::kZero * all;
          float value = unit[r].scale[g] * static_cast<float>(dot);
          if (C::kOffsets) value += unit[r].offset[g] * static_cast<float>(all);
          sum[r][t] += scale * value;
        }
      }
    }
  }
}

// Picks the codec of the matrix at hand; one branch for a whole block.
template <int kRows, int kTokens, typename... C>
__device__ void dot_rows(CodecList<C...>, const MatvecArgs& a, const Matrix* const* matrix,
                         const int* row, float (&sum)[kRows][kTokens]) {
  const CodecId id = matrix[0]->codec;
  ((id == C::kId ? dot_rows<C, kRows, kTokens>(a, matrix, row, sum) : void()), ...);
}

template <typename List, int kRows, int kTokens>
__global__ void __launch_bounds__(32 * kMatvecWarps)
    matvec_kernel(const __grid_constant__ MatvecArgs a) {
  wait_for_inputs();
  int s = 0;
  while (static_cast<int>(blockIdx.x) >= a.first_block[s + 1]) ++s;
  const bool gated = a.gate != Gate::kNone;
  const Segment& segment = a.segment[s];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rows = static_cast<int>(segment.matrix.rows);
  const int number = static_cast<int>(blockIdx.x) - a.first_block[s];
  const int unit = number * kMatvecWarps + warp;
  const int first = gated ? unit : unit * kRows;
  if (first >= rows) return;
  const Matrix* matrix[kRows];
  int row[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    matrix[r] = gated ? &a.segment[r].matrix : &segment.matrix;
    row[r] = gated ? first : min(first + r, rows - 1);
  }
  float sum[kRows][kTokens] = {};
  dot_rows<kRows, kTokens>(List(), a, matrix, row, sum);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int t = 0; t < kTokens; ++t) sum[r][t] = warp_sum(sum[r][t]);
  }
  const int token = lane / kRows, r = lane % kRows;
  if (token >= a.tokens || token >= kTokens) return;
  float value = 0.0f, other = 0.0f;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (i == r && t == token) value = sum[i][t];
      if (i == kRows - 1 && t == token) other = sum[i][t];
    }
  }
  if (gated) {
    if (r != 0) return;
    const Output &one = a.segment[0].out, &two = a.segment[1].out;
    if (one.bias != nullptr) value += one.bias[first];
    if (two.bias != nullptr) other += two.bias[first];
    one.y.data[token * one.y.stride + first] = gate(a.gate, value) * other;
    return;
  }
  if (first + r >= rows) return;
  const Output& out = segment.out;
  if (out.bias != nullptr) value += out.bias[first + r];
  if (out.residual.data != nullptr) {
    value += out.residual.data[token * out.residual.stride + first + r];
  }
  out.y.data[token * out.y.stride + first + r] = value;
}

template <typename List>
void launch_matvec(Stream& stream, MatvecArgs& a) {
  const bool gated = a.gate != Gate::kNone;
  int64_t all_rows = 0;
  for (int s = 0; s < a.segments; ++s) all_rows += a.segment[s].matrix.rows;
  // One row for each warp where there are too few for all processors to be busy.
  const int rows = gated ? 2 : a.tokens == 1 && all_rows < 48 * stream.processors ? 1 : 2;
  a.first_block[0] = 0;
  const int blocks = gated ? 1 : a.segments;
  for (int s = 0; s < blocks; ++s) {
    const int64_t each = int64_t{kMatvecWarps} * (gated ? 1 : rows);
    a.first_block[s + 1] =
        a.first_block[s] + static_cast<int>(blocks_for(a.segment[s].matrix.rows, each));
  }
  const dim3 grid = grid_of(a.first_block[blocks]);
  const auto run = [&](auto kernel) { launch(stream, kernel, grid, 32 * kMatvecWarps, 0, a); };
  if (a.tokens == 1) {
    rows == 1 ? run(matvec_kernel<List, 1, 1>) : run(matvec_kernel<List, 2, 1>);
  } else if (a.tokens == 2) {
    run(matvec_kernel<List, 2, 2>);
  } else if (a.tokens <= 4) {
    run(matvec_kernel<List, 2, 4>);
  } else {
    run(matvec_kernel<List, 2, 8>);
  }
}

}  // namespace pare::cuda

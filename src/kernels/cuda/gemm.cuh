// The tile of a product on tensor cores: y [tokens x rows] from halves in shared memory.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/mma.cuh"

namespace pare::cuda {

// A warp's part: kM x 16 tokens by kN x 16 rows, at (token, row) of the block's tile. Rows of both
// sides have kStride halves in shared memory; kDepth columns are multiplied.
template <int kM, int kN, int kStride, int kDepth>
__device__ __forceinline__ void multiply_tile(const __half* x, const __half* w, int token, int row,
                                              float (&sum)[kM][2 * kN][4]) {
  const int lane = threadIdx.x % 32;
  const __half* a_row = x + (token + lane % 16) * kStride + lane / 16 * 8;
  const __half* b_row = w + (row + lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    uint32_t a[kM][4], b[kN][4];
#pragma unroll
    for (int m = 0; m < kM; ++m) load_matrices(a[m], a_row + m * 16 * kStride + k);
#pragma unroll
    for (int n = 0; n < kN; ++n) load_matrices(b[n], b_row + n * 16 * kStride + k);
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) {
        mma(sum[m][2 * n], a[m], b[n][0], b[n][1]);
        mma(sum[m][2 * n + 1], a[m], b[n][2], b[n][3]);
      }
    }
  }
}

__device__ __forceinline__ void put(const Output& out, const float* scale, int64_t token,
                                    int64_t row, float value) {
  value *= scale[token];
  if (out.bias != nullptr) value += out.bias[row];
  if (out.residual.data != nullptr) {
    value += out.residual.data[token * out.residual.stride + row];
  }
  out.y.data[token * out.y.stride + row] = value;
}

template <int kM, int kN>
__device__ __forceinline__ void put_tile(const Output& out, const float* scale, int64_t token,
                                         int64_t row, int64_t tokens, int64_t rows,
                                         const float (&sum)[kM][2 * kN][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int n = 0; n < 2 * kN; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t t = token + m * 16 + lane / 4 + i / 2 * 8;
        const int64_t r = row + n * 8 + lane % 4 * 2 + i % 2;
        if (t < tokens && r < rows) put(out, scale, t, r, sum[m][n][i]);
      }
    }
  }
}

}  // namespace pare::cuda

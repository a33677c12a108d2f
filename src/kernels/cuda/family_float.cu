// F32, F16 and BF16 weights: few tokens, rows, and exact products of many tokens.
#include "kernels/cuda/family.h"
#include "kernels/cuda/matvec_stream.cuh"

namespace pare::cuda {
namespace {

constexpr DeviceCodec describe(CodecId id, int bytes) { return {id, true, 1, 1, {{0, bytes}}}; }

__device__ float weight_at(CodecId codec, const uint8_t* base, int64_t index) {
  switch (codec) {
    case CodecId::kF32:
      return FloatCodec<CodecId::kF32>::one(base + 4 * index);
    case CodecId::kF16:
      return FloatCodec<CodecId::kF16>::one(base + 2 * index);
    default:
      return FloatCodec<CodecId::kBF16>::one(base + 2 * index);
  }
}

__global__ void unpack_kernel(const __grid_constant__ UnpackArgs a) {
  wait_for_inputs();
  const int64_t i = blockIdx.x, row = a.index != nullptr ? a.index[i] : i;
  const bool whole =
      a.half != nullptr && a.matrix.codec == CodecId::kF16 && a.matrix.columns % 8 == 0;
  if (whole) {  // copied
    const auto* from = reinterpret_cast<const uint4*>(a.matrix.field[0]);
    const int64_t pieces = a.matrix.columns / 8;
    for (int64_t c = threadIdx.x; c < pieces; c += blockDim.x) {
      reinterpret_cast<uint4*>(a.half)[i * pieces + c] = from[row * pieces + c];
    }
    return;
  }
  for (int64_t c = threadIdx.x; c < a.matrix.columns; c += blockDim.x) {
    const float value = weight_at(a.matrix.codec, a.matrix.field[0], row * a.matrix.columns + c);
    if (a.half != nullptr) {
      reinterpret_cast<__half*>(a.half)[i * a.matrix.columns + c] = __float2half_rn(value);
    } else {
      a.floats.data[i * a.floats.stride + c] = value * a.factor;
    }
  }
}

struct FloatArgs {
  Segment segment;
  FloatRows x;
  int64_t tokens;
};

// A tile of 64 tokens by 64 rows, 16 columns at a time; a thread has 4 by 4 of it.
constexpr int kTile = 64, kDepth = 16;
__global__ void __launch_bounds__(256) matmul_kernel(const __grid_constant__ FloatArgs a) {
  __shared__ float x[kDepth][kTile + 4], w[kDepth][kTile + 4];
  wait_for_inputs();
  const Matrix& m = a.segment.matrix;
  const int64_t first_token = int64_t{blockIdx.x} * kTile, first_row = int64_t{blockIdx.y} * kTile;
  const int column = threadIdx.x % kDepth, line = threadIdx.x / kDepth;
  const int tx = threadIdx.x % 16 * 4, ty = threadIdx.x / 16 * 4;
  float sum[4][4] = {};
  for (int64_t begin = 0; begin < m.columns; begin += kDepth) {
    const int64_t c = begin + column;
    for (int i = line; i < kTile; i += 256 / kDepth) {
      const int64_t t = first_token + i, r = first_row + i;
      const bool inside = c < m.columns;
      x[column][i] = inside && t < a.tokens ? a.x.data[t * a.x.stride + c] : 0.0f;
      w[column][i] =
          inside && r < m.rows ? weight_at(m.codec, m.field[0], r * m.columns + c) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x[k][ty + i] * w[k][tx + j];
      }
    }
    __syncthreads();
  }
  const Output& out = a.segment.out;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int64_t t = first_token + ty + i, r = first_row + tx + j;
      if (t >= a.tokens || r >= m.rows) continue;
      float value = sum[i][j];
      if (out.bias != nullptr) value += out.bias[r];
      if (out.residual.data != nullptr) value += out.residual.data[t * out.residual.stride + r];
      out.y.data[t * out.y.stride + r] = value;
    }
  }
}

}  // namespace

const Family& float_family() {
  static constexpr DeviceCodec kList[] = {describe(CodecId::kF32, 4), describe(CodecId::kF16, 2),
                                          describe(CodecId::kBF16, 2)};
  static const Family family = {kList,
                                launch_matvec<FloatCodecs>,
                                [](Stream& stream, const UnpackArgs& a) {
                                  launch(stream, unpack_kernel, grid_of(a.count), 256, 0, a);
                                },
                                nullptr,
                                nullptr,
                                launch_matvec_stream<FloatCodecs>};
  return family;
}

void matmul_floats(Stream& stream, const Segment& segment, const FloatRows& x, int64_t tokens) {
  const FloatArgs args{segment, x, tokens};
  launch(stream, matmul_kernel,
         grid_of(blocks_for(tokens, kTile), blocks_for(segment.matrix.rows, kTile)), 256, 0, args);
}

}  // namespace pare::cuda

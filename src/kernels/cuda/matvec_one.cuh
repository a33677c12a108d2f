// Products of quantized matrices with one token: what decoding spends its time in. A block norms
// and rounds the input for itself, in shared memory, while its weights are on their way from
// memory; so a block of a model needs few kernels, one behind the other. For family_*.cu.
#pragma once

#include "kernels/cuda/matvec.cuh"

namespace pare::cuda {

inline constexpr int kOneThreads = 256, kOneWarps = kOneThreads / 32;

struct OneArgs {
  Segment segment[kMaxSegments];
  int first_block[kMaxSegments + 1];  // of the grid
  int segments, columns;
  const float* x;
  NormWeight norm;
  Gate gate;
  Books books;
};

// The input as bytes, in shared memory; see Int8Rows.
struct OneInput {
  int8_t* q;
  float* scale;
  int16_t* sum;
};

__device__ __forceinline__ void round_input(const OneArgs& a, const OneInput& to) {
  __shared__ float shared[33];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const auto* x = reinterpret_cast<const float4*>(a.x);
  const auto* weight = reinterpret_cast<const float4*>(a.norm.weight);
  float factor = 1.0f;
  if (weight != nullptr) {
    float squares = 0.0f;
#pragma unroll 4
    for (int i = threadIdx.x; i < a.columns / 4; i += kOneThreads) {
      const float4 v = x[i];
      squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    squares = block_reduce<false>(squares, shared);
    factor = 1.0f / sqrtf(squares / static_cast<float>(a.columns) + a.norm.epsilon);
  }
  // A lane has four columns, eight lanes a group of 32; columns are a multiple of that.
#pragma unroll 4
  for (int begin = 128 * warp; begin < a.columns; begin += 128 * kOneWarps) {
    const int c = begin + 4 * lane;
    const bool inside = c < a.columns;
    float4 v = inside ? x[c / 4] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (weight != nullptr && inside) {
      const float4 w = __ldg(weight + c / 4);
      v = make_float4(v.x * factor * w.x, v.y * factor * w.y, v.z * factor * w.z,
                      v.w * factor * w.w);
    }
    float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
#pragma unroll
    for (int i = 1; i < 8; i *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, i));
    const float inverse = most > 0.0f ? 127.0f / most : 0.0f;
    const char4 q = make_char4(static_cast<signed char>(__float2int_rn(v.x * inverse)),
                               static_cast<signed char>(__float2int_rn(v.y * inverse)),
                               static_cast<signed char>(__float2int_rn(v.z * inverse)),
                               static_cast<signed char>(__float2int_rn(v.w * inverse)));
    int sum = q.x + q.y + q.z + q.w;
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (!inside) continue;
    *reinterpret_cast<char4*>(to.q + c) = q;
    if (lane % 4 == 0) to.sum[c / 16] = static_cast<int16_t>(sum);
    if (lane % 8 == 0) to.scale[c / 32] = most / 127.0f;
  }
  __syncthreads();
}

// Units of kAtOnce steps are read before the first is used.
template <typename C, int kRows, int kAtOnce>
__device__ void dot_one(const OneArgs& a, const OneInput& x, const Matrix* const* matrix,
                        const int* row, float (&sum)[kRows]) {
  constexpr int kUnits = C::kBlockLen / kUnitColumns;
  const int lane = threadIdx.x % 32, blocks = a.columns / C::kBlockLen;
#pragma unroll kAtOnce
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
      const Words4 words = read16(x.q + column);
      const float scale = x.scale[column / 32];
      int all = 0;
      if (C::kZero != 0 || C::kOffsets) all = x.sum[column / 16];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        int dot = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          dot =
              __dp4a(static_cast<int>(unit[r].level[4 * g + i]), static_cast<int>(words.w[i]), dot);
        }
        if (C::kZero != 0) dot -= C::kZero * all;
        float value = unit[r].scale[g] * static_cast<float>(dot);
        if (C::kOffsets) value += unit[r].offset[g] * static_cast<float>(all);
        sum[r] += scale * value;
      }
    }
  }
}
template <int kRows, typename... C>
__device__ void dot_one(CodecList<C...>, const OneArgs& a, const OneInput& x,
                        const Matrix* const* matrix, const int* row, float (&sum)[kRows]) {
  constexpr int kAtOnce = kRows == 1 && sizeof...(C) == 1 ? 2 : 1;
  const CodecId id = matrix[0]->codec;
  ((id == C::kId ? dot_one<C, kRows, kAtOnce>(a, x, matrix, row, sum) : void()), ...);
}

template <typename List, int kRows>
__global__ void __launch_bounds__(kOneThreads, kRows == 1 ? 4 : 3)
    matvec_one_kernel(const __grid_constant__ OneArgs a) {
  extern __shared__ __align__(16) int8_t memory[];
  start_next();
  int s = 0;
  while (static_cast<int>(blockIdx.x) >= a.first_block[s + 1]) ++s;
  const bool gated = a.gate != Gate::kNone;
  const Segment& segment = a.segment[s];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rows = static_cast<int>(segment.matrix.rows);
  const int number = static_cast<int>(blockIdx.x) - a.first_block[s];
  if (threadIdx.x == 0) {
    prefetch_block<List>(a.segment, s, gated, number, kOneWarps * (gated ? 1 : kRows));
    if (a.norm.weight != nullptr) {
      prefetch(reinterpret_cast<const uint8_t*>(a.norm.weight), int64_t{4} * a.columns);
    }
  }
  wait_for_inputs();
  OneInput x;
  x.q = memory;
  x.scale = reinterpret_cast<float*>(memory + a.columns);
  x.sum = reinterpret_cast<int16_t*>(x.scale + a.columns / 32);
  round_input(a, x);
  const int unit = number * kOneWarps + warp, first = gated ? unit : unit * kRows;
  if (first >= rows) return;
  const Matrix* matrix[kRows];
  int row[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    matrix[r] = gated ? &a.segment[r].matrix : &segment.matrix;
    row[r] = gated ? first : min(first + r, rows - 1);
  }
  float sum[kRows] = {};
  dot_one<kRows>(List(), a, x, matrix, row, sum);
#pragma unroll
  for (int r = 0; r < kRows; ++r) sum[r] = warp_sum(sum[r]);
  if (gated) {
    if (lane != 0) return;
    const Output &one = a.segment[0].out, &two = a.segment[1].out;
    float value = sum[0], other = sum[kRows - 1];
    if (one.bias != nullptr) value += one.bias[first];
    if (two.bias != nullptr) other += two.bias[first];
    one.y.data[first] = gate(a.gate, value) * other;
    return;
  }
  if (lane >= kRows || first + lane >= rows) return;
  float value = lane == 0 ? sum[0] : sum[kRows - 1];
  const Output& out = segment.out;
  if (out.bias != nullptr) value += out.bias[first + lane];
  if (out.residual.data != nullptr) value += out.residual.data[first + lane];
  out.y.data[first + lane] = value;
}

// The kernel of the one codec that all matrices have, if they do: it takes fewer registers.
template <typename List, int kRows>
struct OneKernel;
template <typename... C, int kRows>
struct OneKernel<CodecList<C...>, kRows> {
  using Kernel = void (*)(const OneArgs);
  static Kernel find(const OneArgs& a) {
    const CodecId id = a.segment[0].matrix.codec;
    for (int s = 1; s < a.segments; ++s) {
      if (a.segment[s].matrix.codec != id) return matvec_one_kernel<CodecList<C...>, kRows>;
    }
    Kernel found = nullptr;
    ((id == C::kId ? void(found = matvec_one_kernel<CodecList<C>, kRows>) : void()), ...);
    return found;
  }
};

template <typename List>
void launch_matvec_one(Stream& stream, OneArgs& a) {
  const bool gated = a.gate != Gate::kNone;
  int64_t all_rows = 0;
  for (int s = 0; s < a.segments; ++s) all_rows += a.segment[s].matrix.rows;
  // One row for each warp where all of them are on the device at once.
  const int rows = !gated && all_rows <= int64_t{4} * kOneWarps * stream.processors ? 1 : 2;
  const int segments = gated ? 1 : a.segments;
  for (int s = 0; s < segments; ++s) {
    const int64_t each = int64_t{kOneWarps} * (gated ? 1 : rows);
    a.first_block[s + 1] =
        a.first_block[s] + static_cast<int>(blocks_for(a.segment[s].matrix.rows, each));
  }
  const auto columns = static_cast<size_t>(a.columns);
  const size_t shared = columns + columns / 32 * sizeof(float) + columns / 16 * sizeof(int16_t);
  const dim3 grid = grid_of(a.first_block[segments]);
  const auto kernel = rows == 1 ? OneKernel<List, 1>::find(a) : OneKernel<List, 2>::find(a);
  launch(stream, kernel, grid, kOneThreads, shared, a);
}

}  // namespace pare::cuda

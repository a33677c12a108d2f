// Products of quantized matrices with one token, on devices before sm_90. A block of threads norms
// and rounds the input for itself, in shared memory, so that a block of a model needs few kernels,
// one behind the other. For family_*.cu.
#pragma once

#include "kernels/cuda/one_input.cuh"

namespace pare::cuda {

inline constexpr int kOneThreads = 256, kOneWarps = kOneThreads / 32;

// Units of kAtOnce steps are read before the first is used.
template <typename C, typename Order, int kRows, int kAtOnce>
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
    add_unit<C, Order>(unit, x, u, within, sum);
  }
}
template <int kRows, typename... C>
__device__ void dot_one(CodecList<C...>, const OneArgs& a, const OneInput& x,
                        const Matrix* const* matrix, const int* row, float (&sum)[kRows]) {
  constexpr int kAtOnce = kRows == 1 && sizeof...(C) == 1 ? 2 : 1;
  const CodecId id = matrix[0]->codec;
  using Order = typename OrderOf<CodecList<C...>>::Type;
  ((id == C::kId ? dot_one<C, Order, kRows, kAtOnce>(a, x, matrix, row, sum) : void()), ...);
}

template <typename List, int kRows>
__global__ void __launch_bounds__(kOneThreads, kRows == 1 ? 4 : 3)
    matvec_one_kernel(const __grid_constant__ OneArgs a) {
  extern __shared__ __align__(16) uint8_t one_memory[];
  int s = 0;
  while (static_cast<int>(blockIdx.x) >= a.first_block[s + 1]) ++s;
  const bool gated = a.gate != Gate::kNone;
  const Segment& segment = a.segment[s];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rows = static_cast<int>(segment.matrix.rows);
  const int number = static_cast<int>(blockIdx.x) - a.first_block[s];
  const OneInput x(one_memory, a.columns);
  take_input<kOneThreads>(a, [&x](int i, bool inside, const float4& v) {
    put_bytes<typename OrderOf<List>::Type>(x, i, inside, v);
  });
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
  const size_t shared = OneInput::bytes(a.columns);
  const dim3 grid = grid_of(a.first_block[segments]);
  const auto kernel = rows == 1 ? OneKernel<List, 1>::find(a) : OneKernel<List, 2>::find(a);
  launch(stream, kernel, grid, kOneThreads, shared, a);
}

}  // namespace pare::cuda

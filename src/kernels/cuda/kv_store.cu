// Turning queries and keys, and putting keys and values into the cache.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/launch.cuh"

namespace pare::cuda {
namespace {

constexpr int kOfLane = kMostHeadColumns / 32;  // columns of a head that one lane has

struct Args {
  StoreInput in;
  KvLayer layer;
  const int32_t* position;
};

// Column c of a head at `x`, turned.
__device__ __forceinline__ float turned(const float* x, int c, const Turns& turns,
                                        int64_t position) {
  const int pairs = turns.pairs;
  if (turns.table == nullptr || c >= 2 * pairs) return x[c];
  const bool second = turns.halves ? c >= pairs : c % 2 == 1;
  const int pair = turns.halves ? (second ? c - pairs : c) : c / 2;
  const float2 turn = reinterpret_cast<const float2*>(turns.table)[position * pairs + pair];
  const float other = x[turns.halves ? (second ? pair : pair + pairs) : c ^ 1];
  return second ? other * turn.y + x[c] * turn.x : x[c] * turn.x - other * turn.y;
}

// A row of the cache from values v[i] of columns 32 i + lane.
__device__ void put_row(CodecId form, int columns, uint8_t* data, uint16_t* scales, int64_t row,
                        const float (&v)[kOfLane]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kOfLane; ++i) {
    const int c = 32 * i + lane;
    if (32 * i >= columns) return;
    if (form == CodecId::kF32) {
      if (c < columns) reinterpret_cast<float*>(data)[row * columns + c] = v[i];
    } else if (form == CodecId::kF16) {
      if (c < columns) reinterpret_cast<__half*>(data)[row * columns + c] = __float2half_rn(v[i]);
    } else if (form == CodecId::kQ8_0) {
      const __half d = __float2half_rn(warp_max(fabsf(v[i])) / 127.0f);
      const float scale = __half2float(d);
      const int q = scale > 0.0f ? __float2int_rn(v[i] / scale) : 0;
      data[row * columns + c] = static_cast<uint8_t>(max(-127, min(127, q)));
      if (lane == 0) scales[row * (columns / 32) + i] = __half_as_ushort(d);
    } else {
      // The value of the largest magnitude becomes level -8.
      const float most = warp_max(fabsf(v[i]));
      const uint32_t with = __ballot_sync(0xffffffffu, fabsf(v[i]) == most);
      const float extreme = __shfl_sync(0xffffffffu, v[i], __ffs(static_cast<int>(with)) - 1);
      const __half d = __float2half_rn(extreme / -8.0f);
      const float scale = __half2float(d);
      const int level = scale != 0.0f ? __float2int_rn(v[i] / scale) : 0;
      const int q = max(0, min(15, level + 8));
      const int high = __shfl_down_sync(0xffffffffu, q, 16);
      if (lane < 16)
        data[row * (columns / 2) + 16 * i + lane] = static_cast<uint8_t>(q | high << 4);
      if (lane == 0) scales[row * (columns / 32) + i] = __half_as_ushort(d);
    }
  }
}

// A warp for each head of q that is turned, of k and of v.
__global__ void store_kernel(const __grid_constant__ Args a) {
  wait_for_inputs();
  const StoreInput& in = a.in;
  const int lane = threadIdx.x % 32;
  const int turned_heads = in.q_turns.table != nullptr ? in.heads : 0;
  const int64_t t = blockIdx.x, position = *a.position + t;
  int job = static_cast<int>(blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32);
  if (job >= turned_heads + 2 * a.layer.kv_heads) return;
  const bool is_q = job < turned_heads;
  const bool is_k = !is_q && job < turned_heads + a.layer.kv_heads;
  const int head = is_q ? job : is_k ? job - turned_heads : job - turned_heads - a.layer.kv_heads;
  const int dim = is_q || is_k ? in.head_dim : in.value_dim;
  const FloatRows& from = is_q ? in.q : is_k ? in.k : in.v;
  const float* x = from.data + t * from.stride + static_cast<int64_t>(head) * dim;
  const Turns turns = is_q ? in.q_turns : is_k ? in.k_turns : Turns{};
  float v[kOfLane];
#pragma unroll
  for (int i = 0; i < kOfLane; ++i) {
    const int c = 32 * i + lane;
    v[i] = c < dim ? turned(x, c, turns, position) : 0.0f;
  }
  __syncwarp();
  if (is_q) {
    float* out = in.q_out.data + t * in.q_out.stride + static_cast<int64_t>(head) * dim;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      const int c = 32 * i + lane;
      if (c < dim) out[c] = v[i];
    }
    return;
  }
  const int64_t row = head * a.layer.capacity + position;
  if (is_k) {
    put_row(a.layer.form, a.layer.key_columns, a.layer.keys, a.layer.key_scales, row, v);
  } else {
    put_row(a.layer.form, a.layer.value_columns, a.layer.values, a.layer.value_scales, row, v);
  }
}

}  // namespace

int64_t kv_row_bytes(CodecId form, int64_t columns) {
  switch (form) {
    case CodecId::kF32:
      return (columns + 3) / 4 * 16;
    case CodecId::kF16:
      return (columns + 3) / 4 * 8;
    case CodecId::kQ8_0:
      return columns;
    default:
      return columns / 2;
  }
}

void store_keys_values(Stream& stream, const StoreInput& in, const KvLayer& layer,
                       const int32_t* position) {
  const int jobs = (in.q_turns.table != nullptr ? in.heads : 0) + 2 * layer.kv_heads;
  launch(stream, store_kernel, grid_of(in.tokens, blocks_for(jobs, 4)), 128, 0,
         Args{in, layer, position});
}

}  // namespace pare::cuda

// Turning queries and keys, and putting keys and values into the cache.
#include "kernels/cuda/kv_store.cuh"

namespace pare::cuda {
namespace {

struct Args {
  StoreInput in;
  KvLayer layer;
  const int32_t* position;
};

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

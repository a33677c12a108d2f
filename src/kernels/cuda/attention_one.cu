// Attention of one token, from what the products leave: q and k are turned, k and v stored, and the
// block that is done last with its part of the keys puts the parts together.
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/kv_store.cuh"

namespace pare::cuda {
namespace {

struct Args {
  AttentionInput in;
  StoreInput store;
  KvLayer layer;
  const int32_t* position;
  float* scratch;
  int* counters;
  float* out;
  int parts;
};

// Key and value of the token, by one warp each.
__device__ void store_token(const Args& a, int kv_head, int64_t position) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp > 1) return;
  const bool is_key = warp == 0;
  const int dim = is_key ? a.in.head_dim : a.in.value_dim;
  const float* x = (is_key ? a.store.k.data : a.store.v.data) + static_cast<int64_t>(kv_head) * dim;
  const Turns turns = is_key ? a.store.k_turns : Turns{};
  float v[kOfLane];
#pragma unroll
  for (int i = 0; i < kOfLane; ++i) {
    const int c = 32 * i + lane;
    v[i] = c < dim ? turned(x, c, turns, position) : 0.0f;
  }
  const KvLayer& l = a.layer;
  const int64_t row = kv_head * l.capacity + position;
  if (is_key) {
    put_row(l.form, l.key_columns, l.keys, l.key_scales, row, v);
  } else {
    put_row(l.form, l.value_columns, l.values, l.value_scales, row, v);
  }
}

__global__ void __launch_bounds__(kTileThreads) one_kernel(const __grid_constant__ Args a) {
  extern __shared__ __align__(16) float memory[];
  __shared__ float sums[kTileQueries], tops[kTileQueries];
  __shared__ float factor[kTileQueries][kMostParts];
  __shared__ bool last;
  wait_for_inputs();
  const AttentionInput& in = a.in;
  const TileMemory m(in, memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = in.heads / a.layer.kv_heads, kv_head = blockIdx.y;
  const int first = blockIdx.x * kTileQueries, queries = min(kTileQueries, group - first);
  const int64_t position = *a.position;
  const KeyRange range = range_of(in, group, group, position, first, blockIdx.z, a.parts);
  for (int i = threadIdx.x; i < kTileQueries * m.key_columns; i += kTileThreads) {
    const int r = i / m.key_columns, c = i % m.key_columns;
    const float* q = in.q.data + static_cast<int64_t>(kv_head * group + first + r) * in.head_dim;
    const bool inside = r < queries && c < in.head_dim;
    m.q[i] = inside ? turned(q, c, a.store.q_turns, position) * in.scale : 0.0f;
  }
  if (range.begin <= position && position < range.end) store_token(a, kv_head, position);
  __syncthreads();
  TileState state;
  attend_range(in, a.layer, kv_head, group, position, first, range, m, &state);
  if (lane == 0) {
    for (int i = 0; i < 2; ++i) {
      sums[2 * warp + i] = state.sum[i];
      tops[2 * warp + i] = state.top[i];
    }
  }
  __syncthreads();
  const int size = in.value_dim + 2;
  float* out = a.out + static_cast<int64_t>(kv_head * group + first) * in.value_dim;
  float* parts = a.scratch + static_cast<int64_t>(kv_head * group + first) * a.parts * size;
  for (int r = 0; r < queries; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int c = threadIdx.x + half * kTileThreads;
      if (c >= in.value_dim) break;
      float v = 0.0f;
#pragma unroll
      for (int i = 0; i < kTileQueries; ++i) v = i == r ? state.mixed[half][i] : v;
      if (a.parts == 1) {
        out[r * in.value_dim + c] = v / sums[r];
      } else {
        parts[(static_cast<int64_t>(r) * a.parts + blockIdx.z) * size + c] = v;
      }
    }
    if (a.parts > 1 && threadIdx.x == 0) {
      float* to = parts + (static_cast<int64_t>(r) * a.parts + blockIdx.z) * size + in.value_dim;
      to[0] = tops[r];
      to[1] = sums[r];
    }
  }
  if (a.parts == 1) return;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    int* counter = a.counters + kv_head * gridDim.x + blockIdx.x;
    last = atomicAdd(counter, 1) == a.parts - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  // A warp for each query: what its parts count.
  for (int r = warp; r < queries; r += kTileThreads / 32) {
    const float* row = parts + static_cast<int64_t>(r) * a.parts * size + in.value_dim;
    float top = -INFINITY, sum = 0.0f;
    for (int p = lane; p < a.parts; p += 32) top = fmaxf(top, __ldcg(row + p * size));
    top = warp_max(top);
    for (int p = lane; p < a.parts; p += 32) {
      const float weight = __ldcg(row + p * size + 1);
      const float f = weight == 0.0f ? 0.0f : expf(__ldcg(row + p * size) - top);
      factor[r][p] = f;
      sum += weight * f;
    }
    sum = warp_sum(sum);
    if (lane == 0) sums[r] = sum;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < queries * in.value_dim; i += kTileThreads) {
    const int r = i / in.value_dim, c = i % in.value_dim;
    const float* row = parts + static_cast<int64_t>(r) * a.parts * size + c;
    float v = 0.0f;
#pragma unroll 4
    for (int p = 0; p < a.parts; ++p) v += factor[r][p] * __ldcg(row + p * size);
    out[i] = v / sums[r];
  }
}

}  // namespace

int64_t attention_counters(const AttentionInput& in, const KvLayer& layer) {
  return blocks_for(in.heads / layer.kv_heads, kTileQueries) * layer.kv_heads;
}

void attention_one(Stream& stream, const StoreInput& store, const AttentionInput& in,
                   const KvLayer& layer, const int32_t* position, float* scratch, int* counters,
                   float* out) {
  Args a{in, store, layer, position, scratch, counters, out, 1};
  a.parts = static_cast<int>(attention_parts(in, layer));
  launch(stream, one_kernel,
         grid_of(blocks_for(in.heads / layer.kv_heads, kTileQueries), layer.kv_heads, a.parts),
         kTileThreads, TileMemory::bytes(in), a);
}

}  // namespace pare::cuda

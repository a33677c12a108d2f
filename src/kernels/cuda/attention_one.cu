// Attention of one token, from what the products leave: q and k are turned, k and v stored, and the
// block that is done last with its part of the keys puts the parts together.
#include <algorithm>

#include "kernels/cuda/attention_fast.cuh"

namespace pare::cuda {
namespace {

// Heads of any extent.
__global__ void __launch_bounds__(kTileThreads) one_kernel(const __grid_constant__ OneTokenArgs a) {
  extern __shared__ __align__(16) float memory[];
  __shared__ float sums[kTileQueries], tops[kTileQueries];
  __shared__ float factor[kTileQueries * kMostParts];
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
  if (!comes_last(a.counters + kv_head * gridDim.x + blockIdx.x, a.parts)) return;
  join_parts(parts, a.parts, queries, in.value_dim, factor, sums, out);
}

template <int kDim, int kQueries>
void launch_fast(Stream& stream, const OneTokenArgs& a) {
  const int group = a.in.heads / a.layer.kv_heads;
  const dim3 grid = grid_of(blocks_for(group, kQueries), a.layer.kv_heads, a.parts);
  const auto run = [&](auto kernel) {
    prefer_shared_memory(stream, kernel);
    launch(stream, kernel, grid, kFastThreads, 0, a);
  };
  a.layer.form == CodecId::kF16 ? run(fast_kernel<kDim, kQueries, true>)
                                : run(fast_kernel<kDim, kQueries, false>);
}

// Keys that a block of fast_kernel takes, as long as there are few parts.
constexpr int64_t kKeysOfBlock = 256;

}  // namespace

int64_t attention_counters(const AttentionInput& in, const KvLayer& layer) {
  return blocks_for(in.heads / layer.kv_heads, 2) * layer.kv_heads;
}

void attention_one(Stream& stream, const StoreInput& store, const AttentionInput& in,
                   const KvLayer& layer, const int32_t* position, float* scratch, int* counters,
                   float* out) {
  OneTokenArgs a{in, store, layer, position, scratch, counters, out, 1};
  const int group = in.heads / layer.kv_heads;
  const bool fast = in.head_dim == in.value_dim && (in.head_dim == 64 || in.head_dim == 128);
  if (fast) {
    const int64_t keys = in.window > 0 ? std::min<int64_t>(in.longest, in.window + 64) : in.longest;
    a.parts = static_cast<int>(std::clamp<int64_t>(blocks_for(keys, kKeysOfBlock), 1, kMostParts));
    // Many queries at once read keys once; two are done sooner, and leave room to the next kernel.
    const int queries = in.longest <= 1024 ? 2 : group <= 4 ? 4 : 8;
    if (in.head_dim == 64) {
      return queries == 2   ? launch_fast<64, 2>(stream, a)
             : queries == 4 ? launch_fast<64, 4>(stream, a)
                            : launch_fast<64, 8>(stream, a);
    }
    return queries == 2   ? launch_fast<128, 2>(stream, a)
           : queries == 4 ? launch_fast<128, 4>(stream, a)
                          : launch_fast<128, 8>(stream, a);
  }
  a.parts = static_cast<int>(attention_parts(in, layer));
  launch(stream, one_kernel, grid_of(blocks_for(group, kTileQueries), layer.kv_heads, a.parts),
         kTileThreads, TileMemory::bytes(in), a);
}

}  // namespace pare::cuda

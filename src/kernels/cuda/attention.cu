// Attention in float arithmetic: a block takes eight queries that share a head of keys, and a part
// of the keys, 32 at a time; parts are put together afterwards.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/emit.cuh"

namespace pare::cuda {
namespace {

struct Args {
  AttentionInput in;
  KvLayer layer;
  const int32_t* position;
  float* scratch;
  FloatRows out;
  int parts, queries;  // queries of one head of keys
};

__global__ void __launch_bounds__(kTileThreads) attention_kernel(const __grid_constant__ Args a) {
  extern __shared__ __align__(16) float memory[];
  __shared__ float sums[kTileQueries], tops[kTileQueries];
  wait_for_inputs();
  const AttentionInput& in = a.in;
  const TileMemory m(in, memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = in.heads / a.layer.kv_heads, kv_head = blockIdx.y;
  const int first_query = blockIdx.x * kTileQueries;
  const int64_t position = *a.position;
  for (int i = threadIdx.x; i < kTileQueries * m.key_columns; i += kTileThreads) {
    const int r = first_query + i / m.key_columns, c = i % m.key_columns;
    const int64_t column = static_cast<int64_t>(kv_head * group + r % group) * in.head_dim + c;
    const bool inside = r < a.queries && c < in.head_dim;
    m.q[i] = inside ? in.q.data[r / group * in.q.stride + column] * in.scale : 0.0f;
  }
  TileState state;
  const KeyRange range = range_of(in, group, a.queries, position, first_query, blockIdx.z, a.parts);
  attend_range(in, a.layer, kv_head, group, position, first_query, range, m, &state);
  if (lane == 0) {
    for (int i = 0; i < 2; ++i) {
      sums[2 * warp + i] = state.sum[i];
      tops[2 * warp + i] = state.top[i];
    }
  }
  __syncthreads();
  for (int r = 0; r < kTileQueries && first_query + r < a.queries; ++r) {
    const int query = first_query + r, head = kv_head * group + query % group;
    const int64_t token = query / group;
    if (a.parts == 1) {
      float* out = a.out.data + token * a.out.stride + static_cast<int64_t>(head) * in.value_dim;
      for (int part = 0; part < 2; ++part) {
        const int c = threadIdx.x + part * kTileThreads;
        if (c < in.value_dim) out[c] = state.mixed[part][r] / sums[r];
      }
      continue;
    }
    // Results of parts: mixed values, the top score, the sum.
    float* to = a.scratch + ((token * in.heads + head) * a.parts + blockIdx.z) * (in.value_dim + 2);
    for (int part = 0; part < 2; ++part) {
      const int c = threadIdx.x + part * kTileThreads;
      if (c < in.value_dim) to[c] = state.mixed[part][r];
    }
    if (threadIdx.x == 0) {
      to[in.value_dim] = tops[r];
      to[in.value_dim + 1] = sums[r];
    }
  }
}

struct JoinArgs {
  const float* scratch;
  int parts, heads, value_dim;
  Forms out;
};
// A block for each head of each token; parts are put together in their order.
__global__ void join_kernel(const __grid_constant__ JoinArgs a) {
  __shared__ float factor[kMostParts];
  __shared__ float total;
  wait_for_inputs();
  const int64_t token = blockIdx.x, head = blockIdx.y, size = a.value_dim + 2;
  const float* parts = a.scratch + (token * a.heads + head) * a.parts * size;
  if (threadIdx.x < 32) {
    float top = -INFINITY;
    for (int p = threadIdx.x; p < a.parts; p += 32) top = fmaxf(top, parts[p * size + a.value_dim]);
    top = warp_max(top);
    float sum = 0.0f;
    for (int p = threadIdx.x; p < a.parts; p += 32) {
      const float weight = parts[p * size + a.value_dim + 1];
      factor[p] = weight == 0.0f ? 0.0f : expf(parts[p * size + a.value_dim] - top);
      sum += weight * factor[p];
    }
    sum = warp_sum(sum);
    if (threadIdx.x == 0) total = sum;
  }
  __syncthreads();
  const int64_t width = static_cast<int64_t>(a.heads) * a.value_dim;
  for (int begin = 0; begin < a.value_dim; begin += static_cast<int>(blockDim.x)) {
    const int c = begin + static_cast<int>(threadIdx.x);
    float v = 0.0f;
    if (c < a.value_dim) {
      for (int p = 0; p < a.parts; ++p) {
        if (factor[p] != 0.0f) v += factor[p] * parts[p * size + c];
      }
      v /= total;
      if (a.out.floats.data != nullptr) {
        a.out.floats.data[token * a.out.floats.stride + head * a.value_dim + c] = v;
      }
    }
    // Whole warps: value_dim is a multiple of 32 then.
    if (a.out.int8.q != nullptr && begin + (static_cast<int>(threadIdx.x) & ~31) < a.value_dim) {
      emit_int8(a.out.int8, token * width + head * a.value_dim + c, v);
    }
  }
}

}  // namespace

int64_t attention_parts(const AttentionInput& in, const KvLayer& layer) {
  const int64_t queries = in.tokens * (in.heads / layer.kv_heads);
  if (blocks_for(queries, kTileQueries) > 16) return 1;
  const int64_t keys =
      in.window > 0 ? std::min<int64_t>(in.longest, in.window + in.tokens + kTileKeys) : in.longest;
  return std::clamp<int64_t>(blocks_for(keys, kTileKeys), 1, kMostParts);
}

int64_t attention_scratch(const AttentionInput& in, const KvLayer& layer) {
  // As many as attention_parts() could ever need for these tokens.
  const int64_t parts = attention_parts(in, layer) == 1 ? 2 : kMostParts;
  return in.tokens * in.heads * parts * (in.value_dim + 2);
}

void attention(Stream& stream, const AttentionInput& in, const KvLayer& layer,
               const int32_t* position, float* scratch, const Forms& out) {
  Args a{in, layer, position, scratch, out.floats, 1, 0};
  a.queries = static_cast<int>(in.tokens * (in.heads / layer.kv_heads));
  a.parts = static_cast<int>(attention_parts(in, layer));
  if (out.int8.q != nullptr) a.parts = std::max(a.parts, 2);  // the joining gives other forms
  launch(stream, attention_kernel,
         grid_of(blocks_for(a.queries, kTileQueries), layer.kv_heads, a.parts), kTileThreads,
         TileMemory::bytes(in), a);
  if (a.parts == 1) return;
  launch(stream, join_kernel, grid_of(in.tokens, in.heads), in.value_dim > 64 ? 128 : 64, 0,
         JoinArgs{scratch, a.parts, in.heads, in.value_dim, out});
}

}  // namespace pare::cuda

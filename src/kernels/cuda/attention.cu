// Attention in float arithmetic: a block takes eight queries that share a head of keys, and a part
// of the keys, 32 at a time; parts are put together afterwards.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/emit.cuh"
#include "kernels/cuda/kv_load.cuh"

namespace pare::cuda {
namespace {

constexpr int kQueries = 8, kKeys = 32, kThreads = 128;
constexpr int64_t kMostParts = 64;

struct Args {
  AttentionInput in;
  KvLayer layer;
  const int32_t* position;
  float* scratch;
  FloatRows out;
  int parts, queries;  // queries of one head of keys
};

// Of the queries at hand: which part of the keys this block attends to.
struct Range {
  int64_t begin, end;
};
__device__ Range range_of(const Args& a, int64_t position, int first_query) {
  const int group = a.in.heads / a.layer.kv_heads;
  const int64_t first = first_query / group;
  const int64_t last = min(first_query + kQueries - 1, a.queries - 1) / group;
  const int64_t end = position + last + 1;
  int64_t begin = a.in.window > 0 ? max(int64_t{0}, position + first + 1 - a.in.window) : 0;
  begin = begin / kKeys * kKeys;
  const int64_t tiles = (end - begin + kKeys - 1) / kKeys;
  const int64_t each = (tiles + a.parts - 1) / a.parts * kKeys;
  const int64_t from = begin + each * blockIdx.z;
  return {from, min(end, from + each)};
}

__global__ void __launch_bounds__(kThreads) attention_kernel(const __grid_constant__ Args a) {
  extern __shared__ __align__(16) float memory[];
  wait_for_inputs();
  const AttentionInput& in = a.in;
  const int key_columns = (in.head_dim + 3) / 4 * 4, value_columns = (in.value_dim + 3) / 4 * 4;
  const int key_stride = key_columns + 4;
  float* q = memory;                                // [kQueries][key_columns]
  float* keys = q + kQueries * key_columns;         // [kKeys][key_stride]
  float* values = keys + kKeys * key_stride;        // [kKeys][value_columns]
  float* weights = values + kKeys * value_columns;  // [kKeys][kQueries]
  __shared__ float correction[kQueries], sums[kQueries], tops[kQueries];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = in.heads / a.layer.kv_heads, kv_head = blockIdx.y;
  const int first_query = blockIdx.x * kQueries;
  const int64_t position = *a.position;
  const Range range = range_of(a, position, first_query);
  for (int i = threadIdx.x; i < kQueries * key_columns; i += kThreads) {
    const int r = first_query + i / key_columns, c = i % key_columns;
    const int64_t column = static_cast<int64_t>(kv_head * group + r % group) * in.head_dim + c;
    const bool inside = r < a.queries && c < in.head_dim;
    q[i] = inside ? in.q.data[r / group * in.q.stride + column] * in.scale : 0.0f;
  }
  // A warp has the scores of two queries, a lane those of one key.
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  float mixed[2][kQueries] = {};
  const KvSide key_side = keys_of(a.layer), value_side = values_of(a.layer);
  const int64_t head_row = kv_head * a.layer.capacity;
  for (int64_t begin = range.begin; begin < range.end; begin += kKeys) {
    const auto fill = [&](const KvSide& side, int columns, int stride, float* to) {
#pragma unroll 4
      for (int i = 4 * threadIdx.x; i < kKeys * columns; i += 4 * kThreads) {
        const int key = i / columns, c = i % columns;
        float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (begin + key < range.end) v = load_columns(side, head_row + begin + key, c);
        *reinterpret_cast<float4*>(to + key * stride + c) = v;
      }
    };
    fill(key_side, key_columns, key_stride, keys);
    fill(value_side, value_columns, value_columns, values);
    __syncthreads();
    float score[2] = {};
    for (int c = 0; c < key_columns; c += 4) {
      const float4 k = *reinterpret_cast<const float4*>(keys + lane * key_stride + c);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float4 x = *reinterpret_cast<const float4*>(q + (2 * warp + i) * key_columns + c);
        score[i] += k.x * x.x + k.y * x.y + k.z * x.z + k.w * x.w;
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int r = 2 * warp + i;
      const int64_t at = position + (first_query + r) / group, key = begin + lane;
      if (in.softcap != 0.0f) score[i] = in.softcap * tanhf(score[i] / in.softcap);
      const bool seen = key < range.end && key <= at && (in.window <= 0 || key > at - in.window);
      const float s = seen ? score[i] : -INFINITY;
      const float highest = fmaxf(top[i], warp_max(s));
      const float factor = highest == -INFINITY ? 1.0f : expf(top[i] - highest);
      const float weight = highest == -INFINITY ? 0.0f : expf(s - highest);
      sum[i] = sum[i] * factor + warp_sum(weight);
      top[i] = highest;
      weights[lane * kQueries + r] = weight;
      if (lane == 0) correction[r] = factor;
    }
    __syncthreads();
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int c = threadIdx.x + part * kThreads;
      if (c >= value_columns) break;
#pragma unroll
      for (int r = 0; r < kQueries; ++r) mixed[part][r] *= correction[r];
#pragma unroll 8
      for (int key = 0; key < kKeys; ++key) {
        const float v = values[key * value_columns + c];
        const float4* w = reinterpret_cast<const float4*>(weights + key * kQueries);
        const float4 low = w[0], high = w[1];
        mixed[part][0] += low.x * v;
        mixed[part][1] += low.y * v;
        mixed[part][2] += low.z * v;
        mixed[part][3] += low.w * v;
        mixed[part][4] += high.x * v;
        mixed[part][5] += high.y * v;
        mixed[part][6] += high.z * v;
        mixed[part][7] += high.w * v;
      }
    }
    __syncthreads();
  }
  if (lane == 0) {
    for (int i = 0; i < 2; ++i) {
      sums[2 * warp + i] = sum[i];
      tops[2 * warp + i] = top[i];
    }
  }
  __syncthreads();
  for (int r = 0; r < kQueries && first_query + r < a.queries; ++r) {
    const int query = first_query + r, head = kv_head * group + query % group;
    const int64_t token = query / group;
    if (a.parts == 1) {
      float* out = a.out.data + token * a.out.stride + static_cast<int64_t>(head) * in.value_dim;
      for (int part = 0; part < 2; ++part) {
        const int c = threadIdx.x + part * kThreads;
        if (c < in.value_dim) out[c] = mixed[part][r] / sums[r];
      }
      continue;
    }
    // Results of parts: mixed values, the top score, the sum.
    float* to = a.scratch + ((token * in.heads + head) * a.parts + blockIdx.z) * (in.value_dim + 2);
    for (int part = 0; part < 2; ++part) {
      const int c = threadIdx.x + part * kThreads;
      if (c < in.value_dim) to[c] = mixed[part][r];
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

int64_t parts_for(const AttentionInput& in, const KvLayer& layer) {
  const int64_t queries = in.tokens * (in.heads / layer.kv_heads);
  if (blocks_for(queries, kQueries) > 16) return 1;
  const int64_t keys =
      in.window > 0 ? std::min<int64_t>(in.longest, in.window + in.tokens + kKeys) : in.longest;
  return std::clamp<int64_t>(blocks_for(keys, 2 * kKeys), 1, kMostParts);
}

}  // namespace

int64_t attention_scratch(const AttentionInput& in, const KvLayer& layer) {
  // As many as parts_for() could ever need for these tokens.
  const int64_t parts = parts_for(in, layer) == 1 ? 2 : kMostParts;
  return in.tokens * in.heads * parts * (in.value_dim + 2);
}

void attention(Stream& stream, const AttentionInput& in, const KvLayer& layer,
               const int32_t* position, float* scratch, const Forms& out) {
  Args a{in, layer, position, scratch, out.floats, 1, 0};
  a.queries = static_cast<int>(in.tokens * (in.heads / layer.kv_heads));
  a.parts = static_cast<int>(parts_for(in, layer));
  if (out.int8.q != nullptr) a.parts = std::max(a.parts, 2);  // the joining gives other forms
  const int key_columns = (in.head_dim + 3) / 4 * 4, value_columns = (in.value_dim + 3) / 4 * 4;
  const size_t shared =
      sizeof(float) * static_cast<size_t>(kQueries * key_columns + kKeys * (key_columns + 4) +
                                          kKeys * value_columns + kKeys * kQueries);
  launch(stream, attention_kernel,
         grid_of(blocks_for(a.queries, kQueries), layer.kv_heads, a.parts), kThreads, shared, a);
  if (a.parts == 1) return;
  launch(stream, join_kernel, grid_of(in.tokens, in.heads), in.value_dim > 64 ? 128 : 64, 0,
         JoinArgs{scratch, a.parts, in.heads, in.value_dim, out});
}

}  // namespace pare::cuda

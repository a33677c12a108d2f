// Attention of one token for heads of 64 and 128 columns: a warp takes some keys at a time, eight
// columns of a key in each lane, and queries and results stay in registers. For .cu files only.
#pragma once

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/kv_store.cuh"

namespace pare::cuda {

struct OneTokenArgs {
  AttentionInput in;
  StoreInput store;
  KvLayer layer;
  const int32_t* position;
  float* scratch;
  int* counters;
  float* out;
  int parts;
};

// Key and value of the token, by the first two warps of a block.
__device__ inline void store_token(const OneTokenArgs& a, int kv_head, int64_t position) {
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

// True in the block that is the last of its queries to come here; what the others wrote before can
// be read with __ldcg then.
__device__ inline bool comes_last(int* counter, int blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1) == blocks - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}

// Puts parts together: row r of `parts` has for each part value_dim mixed values, the top score and
// the sum; factor: [queries][kMostParts] of shared memory, sums: [queries].
__device__ inline void join_parts(const float* parts, int count, int queries, int value_dim,
                                  float* factor, float* sums, float* out) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, size = value_dim + 2;
  for (int r = warp; r < queries; r += static_cast<int>(blockDim.x) / 32) {
    const float* row = parts + static_cast<int64_t>(r) * count * size + value_dim;
    float top = -INFINITY, sum = 0.0f;
    for (int p = lane; p < count; p += 32) top = fmaxf(top, __ldcg(row + p * size));
    top = warp_max(top);
    for (int p = lane; p < count; p += 32) {
      const float weight = __ldcg(row + p * size + 1);
      const float f = weight == 0.0f ? 0.0f : expf(__ldcg(row + p * size) - top);
      factor[r * kMostParts + p] = f;
      sum += weight * f;
    }
    sum = warp_sum(sum);
    if (lane == 0) sums[r] = sum;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < queries * value_dim; i += static_cast<int>(blockDim.x)) {
    const int r = i / value_dim, c = i % value_dim;
    const float* row = parts + static_cast<int64_t>(r) * count * size + c;
    float v = 0.0f;
#pragma unroll 4
    for (int p = 0; p < count; ++p) v += factor[r * kMostParts + p] * __ldcg(row + p * size);
    out[i] = v / sums[r];
  }
}

inline constexpr int kFastThreads = 256, kFastWarps = kFastThreads / 32;

// Eight neighbouring columns of a row of the cache.
struct Eight {
  float v[8];
};
template <bool kHalf>
struct RawEight;
template <>
struct RawEight<true> {
  uint4 bits;
  __device__ __forceinline__ void load(const KvSide& side, int64_t row, int c) {
    bits = *reinterpret_cast<const uint4*>(side.data + (row * side.columns + c) * 2);
  }
  __device__ __forceinline__ Eight floats() const {
    Eight e;
    const uint32_t w[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&w[i]));
      e.v[2 * i] = pair.x;
      e.v[2 * i + 1] = pair.y;
    }
    return e;
  }
};
template <>
struct RawEight<false> {
  float4 low, high;
  __device__ __forceinline__ void load(const KvSide& side, int64_t row, int c) {
    low = load_columns(side, row, c);
    high = load_columns(side, row, c + 4);
  }
  __device__ __forceinline__ Eight floats() const {
    return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
  }
};

// With few queries it leaves half of a processor to the kernels beside it. Keys and values of
// tokens before are read before the kernel before has ended: earlier steps left them.
template <int kDim, int kQueries, bool kHalf>
__global__ void __launch_bounds__(kFastThreads, kQueries <= 2 ? 2 : 1)
    fast_kernel(const __grid_constant__ OneTokenArgs a) {
  constexpr int kLanes = kDim / 8, kAtOnce = 32 / kLanes;  // lanes of a key; keys of a warp's load
  constexpr int kSteps = 4, kKeys = kSteps * kAtOnce;
  __shared__ __align__(16) float queries[kQueries][kDim];
  __shared__ __align__(16) float results[kFastWarps][kQueries][kDim];
  __shared__ float tops[kFastWarps][kQueries], sums[kFastWarps][kQueries];
  __shared__ float factor[kQueries * kMostParts];
  static_assert(kFastThreads % kDim == 0);
  start_next();
  const AttentionInput& in = a.in;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = in.heads / a.layer.kv_heads, kv_head = blockIdx.y;
  const int first = blockIdx.x * kQueries, count = min(kQueries, group - first);
  const int64_t position = *a.position;  // copied before the step's first kernel
  const KeyRange range = range_of(in, group, group, position, first, blockIdx.z, a.parts);
  const bool has_token = range.begin <= position && position < range.end;
  const int column = lane % kLanes * 8;
  const KvSide key_side = keys_of(a.layer), value_side = values_of(a.layer);
  const int64_t head_row = kv_head * a.layer.capacity;
  RawEight<kHalf> keys[kSteps], values[kSteps];
  const auto load = [&](int64_t from, int64_t end) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int64_t key = from + s * kAtOnce + lane / kLanes;
      const int64_t row = head_row + (key < end ? key : end - 1);
      keys[s].load(key_side, row, column);
      values[s].load(value_side, row, column);
    }
  };
  int64_t begin = range.begin + warp * kKeys, end = min(range.end, position);
  if (begin < end) load(begin, end);
  const int q_column = static_cast<int>(threadIdx.x) % kDim;
  const Turn turn = turn_of(q_column, a.store.q_turns, position);
  wait_for_inputs();
  const float* heads = in.q.data + static_cast<int64_t>(kv_head * group + first) * kDim;
  constexpr int kOfThread = (kQueries * kDim + kFastThreads - 1) / kFastThreads;
  float own[kOfThread], other[kOfThread];
#pragma unroll
  for (int i = 0; i < kOfThread; ++i) {
    const int r = (i * kFastThreads + static_cast<int>(threadIdx.x)) / kDim;
    own[i] = r < count ? heads[r * kDim + q_column] : 0.0f;
    other[i] = r < count ? heads[r * kDim + turn.other] : 0.0f;
  }
  if (has_token) store_token(a, kv_head, position);
#pragma unroll
  for (int i = 0; i < kOfThread; ++i) {
    const int r = (i * kFastThreads + static_cast<int>(threadIdx.x)) / kDim;
    if (r < kQueries) {
      queries[r][q_column] = (own[i] * turn.cosine + other[i] * turn.sine) * in.scale;
    }
  }
  __syncthreads();
  float q[kQueries][8], mixed[kQueries][8] = {}, top[kQueries], sum[kQueries] = {};
#pragma unroll
  for (int r = 0; r < kQueries; ++r) {
    top[r] = -INFINITY;
#pragma unroll
    for (int i = 0; i < 8; ++i) q[r][i] = queries[r][column + i];
  }
  // The last warp takes the token itself, after the others of its keys.
  bool token_left = has_token && warp == kFastWarps - 1;
#pragma unroll 1
  while (begin < end || token_left) {
    if (begin >= end) {
      token_left = false;
      begin = position;
      end = position + 1;
      load(begin, end);
    }
    bool seen[kSteps];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int64_t key = begin + s * kAtOnce + lane / kLanes;
      seen[s] = key < end && (in.window <= 0 || key > position - in.window);
    }
    float score[kSteps][kQueries];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const Eight k = keys[s].floats();
#pragma unroll
      for (int r = 0; r < kQueries; ++r) {
        float dot = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; ++i) dot += q[r][i] * k.v[i];
#pragma unroll
        for (int i = 1; i < kLanes; i *= 2) dot += __shfl_xor_sync(0xffffffffu, dot, i);
        if (in.softcap != 0.0f) dot = in.softcap * tanhf(dot / in.softcap);
        score[s][r] = seen[s] ? dot : -INFINITY;
      }
    }
#pragma unroll
    for (int r = 0; r < kQueries; ++r) {
      float highest = top[r];
#pragma unroll
      for (int s = 0; s < kSteps; ++s) highest = fmaxf(highest, score[s][r]);
#pragma unroll
      for (int i = kLanes; i < 32; i *= 2) {
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, i));
      }
      const float shrink = highest == -INFINITY ? 1.0f : __expf(top[r] - highest);
      top[r] = highest;
      sum[r] *= shrink;
#pragma unroll
      for (int i = 0; i < 8; ++i) mixed[r][i] *= shrink;
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        score[s][r] = highest == -INFINITY ? 0.0f : __expf(score[s][r] - highest);
        sum[r] += score[s][r];
      }
    }
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const Eight v = values[s].floats();
#pragma unroll
      for (int r = 0; r < kQueries; ++r) {
#pragma unroll
        for (int i = 0; i < 8; ++i) mixed[r][i] += score[s][r] * v.v[i];
      }
    }
    begin += kFastWarps * kKeys;
    if (begin < end) load(begin, end);
  }
#pragma unroll
  for (int r = 0; r < kQueries; ++r) {
#pragma unroll
    for (int i = kLanes; i < 32; i *= 2) {
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], i);
#pragma unroll
      for (int c = 0; c < 8; ++c) mixed[r][c] += __shfl_xor_sync(0xffffffffu, mixed[r][c], i);
    }
    if (lane < kLanes) {
#pragma unroll
      for (int c = 0; c < 8; ++c) results[warp][r][column + c] = mixed[r][c];
    }
    if (lane == 0) {
      tops[warp][r] = top[r];
      sums[warp][r] = sum[r];
    }
  }
  __syncthreads();
  // The warps' results together; they become the block's.
  constexpr int kSize = kDim + 2;
  float* out = a.out + static_cast<int64_t>(kv_head * group + first) * kDim;
  float* parts = a.scratch + static_cast<int64_t>(kv_head * group + first) * a.parts * kSize;
  for (int i = threadIdx.x; i < count * kDim; i += kFastThreads) {
    const int r = i / kDim, c = i % kDim;
    float highest = -INFINITY, total = 0.0f, v = 0.0f;
#pragma unroll
    for (int w = 0; w < kFastWarps; ++w) highest = fmaxf(highest, tops[w][r]);
#pragma unroll
    for (int w = 0; w < kFastWarps; ++w) {
      const float f = sums[w][r] == 0.0f ? 0.0f : __expf(tops[w][r] - highest);
      total += sums[w][r] * f;
      v += results[w][r][c] * f;
    }
    if (a.parts == 1) {
      out[i] = v / total;
      continue;
    }
    float* to = parts + (static_cast<int64_t>(r) * a.parts + blockIdx.z) * kSize;
    to[c] = v;
    if (c == 0) {
      to[kDim] = highest;
      to[kDim + 1] = total;
    }
  }
  if (a.parts == 1) return;
  if (!comes_last(a.counters + kv_head * gridDim.x + blockIdx.x, a.parts)) return;
  join_parts(parts, a.parts, count, kDim, factor, &sums[0][0], out);
}

}  // namespace pare::cuda

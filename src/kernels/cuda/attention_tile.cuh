// Eight queries that share a head of keys against a range of keys, in float arithmetic, 32 keys at
// a time. For .cu files only.
#pragma once

#include "kernels/cuda/kv_load.cuh"

namespace pare::cuda {

inline constexpr int kTileQueries = 8, kTileKeys = 32, kTileThreads = 128;

// Where a block's tiles lie in shared memory.
struct TileMemory {
  int key_columns, value_columns, key_stride;
  float *q, *keys, *values, *weights;  // q: [kTileQueries][key_columns], scaled; zeros behind
  static size_t bytes(const AttentionInput& in) {
    const int key = (in.head_dim + 3) / 4 * 4, value = (in.value_dim + 3) / 4 * 4;
    return sizeof(float) * static_cast<size_t>(kTileQueries * key + kTileKeys * (key + 4) +
                                               kTileKeys * value + kTileKeys * kTileQueries);
  }
  __device__ TileMemory(const AttentionInput& in, float* memory)
      : key_columns((in.head_dim + 3) / 4 * 4),
        value_columns((in.value_dim + 3) / 4 * 4),
        key_stride(key_columns + 4),
        q(memory),
        keys(q + kTileQueries * key_columns),
        values(keys + kTileKeys * key_stride),
        weights(values + kTileKeys * value_columns) {}
};

// What a block has of its queries: a warp two top scores and sums, a thread two columns of mixed
// values of all. A range without visible keys leaves the sum 0.
struct TileState {
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  float mixed[2][kTileQueries] = {};
};

struct KeyRange {
  int64_t begin, end;
};
// Part `part` of `parts` of the keys that queries [first, first + kTileQueries) of one head of keys
// may see; `position` is that of the first token.
__device__ inline KeyRange range_of(const AttentionInput& in, int group, int queries,
                                    int64_t position, int first, int part, int parts) {
  const int64_t last = min(first + kTileQueries - 1, queries - 1) / group;
  const int64_t end = position + last + 1;
  int64_t begin = in.window > 0 ? max(int64_t{0}, position + first / group + 1 - in.window) : 0;
  begin = begin / kTileKeys * kTileKeys;
  const int64_t tiles = (end - begin + kTileKeys - 1) / kTileKeys;
  const int64_t each = (tiles + parts - 1) / parts * kTileKeys;
  const int64_t from = begin + each * part;
  return {from, min(end, from + each)};
}

// `first`: of the block's queries; position of query r is position + r / group.
__device__ inline void attend_range(const AttentionInput& in, const KvLayer& layer, int kv_head,
                                    int group, int64_t position, int first, const KeyRange& range,
                                    const TileMemory& m, TileState* state) {
  __shared__ float correction[kTileQueries];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const KvSide key_side = keys_of(layer), value_side = values_of(layer);
  const int64_t head_row = kv_head * layer.capacity;
  for (int64_t begin = range.begin; begin < range.end; begin += kTileKeys) {
    const auto fill = [&](const KvSide& side, int columns, int stride, float* to) {
#pragma unroll 4
      for (int i = 4 * threadIdx.x; i < kTileKeys * columns; i += 4 * kTileThreads) {
        const int key = i / columns, c = i % columns;
        float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (begin + key < range.end) v = load_columns(side, head_row + begin + key, c);
        *reinterpret_cast<float4*>(to + key * stride + c) = v;
      }
    };
    fill(key_side, m.key_columns, m.key_stride, m.keys);
    fill(value_side, m.value_columns, m.value_columns, m.values);
    __syncthreads();
    // A warp has the scores of two queries, a lane those of one key.
    float score[2] = {};
    for (int c = 0; c < m.key_columns; c += 4) {
      const float4 k = *reinterpret_cast<const float4*>(m.keys + lane * m.key_stride + c);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float4 x = *reinterpret_cast<const float4*>(m.q + (2 * warp + i) * m.key_columns + c);
        score[i] += k.x * x.x + k.y * x.y + k.z * x.z + k.w * x.w;
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int r = 2 * warp + i;
      const int64_t at = position + (first + r) / group, key = begin + lane;
      if (in.softcap != 0.0f) score[i] = in.softcap * tanhf(score[i] / in.softcap);
      const bool seen = key < range.end && key <= at && (in.window <= 0 || key > at - in.window);
      const float s = seen ? score[i] : -INFINITY;
      const float highest = fmaxf(state->top[i], warp_max(s));
      const float factor = highest == -INFINITY ? 1.0f : expf(state->top[i] - highest);
      const float weight = highest == -INFINITY ? 0.0f : expf(s - highest);
      state->sum[i] = state->sum[i] * factor + warp_sum(weight);
      state->top[i] = highest;
      m.weights[lane * kTileQueries + r] = weight;
      if (lane == 0) correction[r] = factor;
    }
    __syncthreads();
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int c = threadIdx.x + part * kTileThreads;
      if (c >= m.value_columns) break;
      float(&mixed)[kTileQueries] = state->mixed[part];
#pragma unroll
      for (int r = 0; r < kTileQueries; ++r) mixed[r] *= correction[r];
#pragma unroll 8
      for (int key = 0; key < kTileKeys; ++key) {
        const float v = m.values[key * m.value_columns + c];
        const float4* w = reinterpret_cast<const float4*>(m.weights + key * kTileQueries);
        const float4 low = w[0], high = w[1];
        mixed[0] += low.x * v;
        mixed[1] += low.y * v;
        mixed[2] += low.z * v;
        mixed[3] += low.w * v;
        mixed[4] += high.x * v;
        mixed[5] += high.y * v;
        mixed[6] += high.z * v;
        mixed[7] += high.w * v;
      }
    }
    __syncthreads();
  }
}

}  // namespace pare::cuda

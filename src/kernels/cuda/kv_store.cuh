// Turning heads, and rows of the cache of keys and values from them. For .cu files only.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/launch.cuh"

namespace pare::cuda {

inline constexpr int kOfLane = kMostHeadColumns / 32;  // columns of a head that one lane has

// How a column of a head is turned: with which other one, cosine, and sine with its sign.
struct Turn {
  int other;
  float cosine, sine;
};
__device__ __forceinline__ Turn turn_of(int c, const Turns& turns, int64_t position) {
  const int pairs = turns.pairs;
  if (turns.table == nullptr || c >= 2 * pairs) return {c, 1.0f, 0.0f};
  const bool second = turns.halves ? c >= pairs : c % 2 == 1;
  const int pair = turns.halves ? (second ? c - pairs : c) : c / 2;
  const float2 turn = reinterpret_cast<const float2*>(turns.table)[position * pairs + pair];
  return {turns.halves ? (second ? pair : pair + pairs) : c ^ 1, turn.x, second ? turn.y : -turn.y};
}
// Column c of a head at `x`, turned.
__device__ __forceinline__ float turned(const float* x, int c, const Turns& turns,
                                        int64_t position) {
  const Turn turn = turn_of(c, turns, position);
  return x[c] * turn.cosine + x[turn.other] * turn.sine;
}

// A row of the cache from values v[i] of columns 32 i + lane.
__device__ inline void put_row(CodecId form, int columns, uint8_t* data, uint16_t* scales,
                               int64_t row, const float (&v)[kOfLane]) {
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

}  // namespace pare::cuda

// The input of products with one token: normed where that is asked for, and rounded to bytes, by
// each block of threads for itself. For .cu files only.
#pragma once

#include "kernels/cuda/matvec.cuh"

namespace pare::cuda {

inline constexpr int kOneThreads = 256, kOneWarps = kOneThreads / 32;

struct OneArgs {
  Segment segment[kMaxSegments];
  int first_block[kMaxSegments + 1];  // of the grid
  int segments, columns;
  const float* x;
  NormWeight norm;
  Gate gate;
  Books books;
};

// The input as bytes, in shared memory: x = group[c / 32].x * q[c]. group[].y is the sum of 32 x as
// they are rounded, sum[c / 16] that of 16.
struct OneInput {
  int8_t* q;
  float2* group;
  float* sum;
  static size_t bytes(int64_t columns) { return static_cast<size_t>(columns) * 3 / 2; }
  __device__ OneInput(uint8_t* memory, int columns)
      : q(reinterpret_cast<int8_t*>(memory)),
        group(reinterpret_cast<float2*>(memory + columns)),
        sum(reinterpret_cast<float*>(memory + columns + columns / 4)) {}
};

// 1, or what a norm multiplies the input with besides its weight.
__device__ __forceinline__ float norm_factor(const OneArgs& a) {
  __shared__ float shared[33];
  if (a.norm.weight == nullptr) return 1.0f;
  const auto* x = reinterpret_cast<const float4*>(a.x);
  float squares = 0.0f;
#pragma unroll 4
  for (int i = threadIdx.x; i < a.columns / 4; i += kOneThreads) {
    const float4 v = x[i];
    squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  squares = block_reduce<false>(squares, shared);
  return 1.0f / sqrtf(squares / static_cast<float>(a.columns) + a.norm.epsilon);
}
// Columns c .. c + 3 of the input.
__device__ __forceinline__ float4 input_at(const OneArgs& a, float factor, int c) {
  float4 v = reinterpret_cast<const float4*>(a.x)[c / 4];
  if (a.norm.weight == nullptr) return v;
  const float4 w = __ldg(reinterpret_cast<const float4*>(a.norm.weight) + c / 4);
  return make_float4(v.x * factor * w.x, v.y * factor * w.y, v.z * factor * w.z,
                     v.w * factor * w.w);
}

__device__ __forceinline__ void round_input(const OneArgs& a, const OneInput& to) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float factor = norm_factor(a);
  // A lane has four columns, eight lanes a group of 32; columns are a multiple of that.
#pragma unroll 4
  for (int begin = 128 * warp; begin < a.columns; begin += 128 * kOneWarps) {
    const int c = begin + 4 * lane;
    const bool inside = c < a.columns;
    const float4 v = inside ? input_at(a, factor, c) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
#pragma unroll
    for (int i = 1; i < 8; i *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, i));
    const float inverse = most > 0.0f ? 127.0f / most : 0.0f;
    const char4 q = make_char4(static_cast<signed char>(__float2int_rn(v.x * inverse)),
                               static_cast<signed char>(__float2int_rn(v.y * inverse)),
                               static_cast<signed char>(__float2int_rn(v.z * inverse)),
                               static_cast<signed char>(__float2int_rn(v.w * inverse)));
    const float scale = most / 127.0f;
    int sum = q.x + q.y + q.z + q.w;
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    const int both = sum + __shfl_xor_sync(0xffffffffu, sum, 4);
    if (!inside) continue;
    *reinterpret_cast<char4*>(to.q + c) = q;
    if (lane % 4 == 0) to.sum[c / 16] = scale * static_cast<float>(sum);
    if (lane % 8 == 0) to.group[c / 32] = make_float2(scale, scale * static_cast<float>(both));
  }
  __syncthreads();
}

__device__ __forceinline__ int dot16(const uint32_t* level, const Words4& x, int dot) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    dot = __dp4a(static_cast<int>(level[i]), static_cast<int>(x.w[i]), dot);
  }
  return dot;
}
// What columns with this scale and offset add: of their levels' dot product, the input's scale and
// its sum.
template <typename C>
__device__ __forceinline__ float scaled(float scale, float offset, int dot, float x_scale,
                                        float x_sum) {
  float value = x_scale * static_cast<float>(dot);
  if (C::kZero != 0) value -= static_cast<float>(C::kZero) * x_sum;
  value *= scale;
  return C::kOffsets ? value + offset * x_sum : value;
}

template <typename C>
concept HasOneScale = requires {
  C::kOneScale;
};
template <typename C>
concept HasPairs = requires {
  C::kPairs;
};

// Adds unit `within` of the blocks that begin at column `begin`, one of each row.
template <typename C, int kRows>
__device__ __forceinline__ void add_unit(const Unit (&unit)[kRows], const OneInput& x, int begin,
                                         int within, float (&sum)[kRows]) {
  if constexpr (HasOneScale<C>) {
    const int column = begin + C::column(within, 0);
    const Words4 low = read16(x.q + column), high = read16(x.q + column + 16);
    const float2 group = x.group[column / 32];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int dot = dot16(unit[r].level + 4, high, dot16(unit[r].level, low, 0));
      sum[r] += scaled<C>(unit[r].scale[0], unit[r].offset[0], dot, group.x, group.y);
    }
  } else {
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      const int column = begin + C::column(within, g);
      const Words4 words = read16(x.q + column);
      const float scale = x.group[column / 32].x;
      float all = 0.0f;
      if (C::kZero != 0 || C::kOffsets) all = x.sum[column / 16];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int dot = dot16(unit[r].level + 4 * g, words, 0);
        sum[r] += scaled<C>(unit[r].scale[g], unit[r].offset[g], dot, scale, all);
      }
    }
  }
}
// The same for units 2 * pair and 2 * pair + 1 of codecs that have pairs.
template <typename C, int kRows>
__device__ __forceinline__ void add_pair(const Unit (&one)[kRows], const Unit (&two)[kRows],
                                         const OneInput& x, int begin, int pair,
                                         float (&sum)[kRows]) {
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const int column = begin + C::column(2 * pair, g);
    const Words4 low = read16(x.q + column), high = read16(x.q + column + 16);
    const float2 group = x.group[column / 32];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int dot = dot16(two[r].level + 4 * g, high, dot16(one[r].level + 4 * g, low, 0));
      sum[r] += scaled<C>(one[r].scale[g], one[r].offset[g], dot, group.x, group.y);
    }
  }
}

}  // namespace pare::cuda

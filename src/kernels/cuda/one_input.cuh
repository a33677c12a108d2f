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

// The input as bytes, in shared memory; see Int8Rows.
struct OneInput {
  int8_t* q;
  float* scale;
  int16_t* sum;
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
    int sum = q.x + q.y + q.z + q.w;
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (!inside) continue;
    *reinterpret_cast<char4*>(to.q + c) = q;
    if (lane % 4 == 0) to.sum[c / 16] = static_cast<int16_t>(sum);
    if (lane % 8 == 0) to.scale[c / 32] = most / 127.0f;
  }
  __syncthreads();
}

}  // namespace pare::cuda

// Quantizing activations. For .cu files only.
#pragma once

#include "kernels/cuda/launch.cuh"

namespace pare::cuda {

// Element `at` of the rows is v; a warp has 32 neighbouring ones, from a multiple of 32.
__device__ __forceinline__ void emit_int8(const Int8Rows& out, int64_t at, float v) {
  const float most = warp_max(fabsf(v));
  const int q = most > 0.0f ? __float2int_rn(v * (127.0f / most)) : 0;
  int sum = q;
#pragma unroll
  for (int i = 8; i > 0; i /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, i);
  out.q[at] = static_cast<int8_t>(q);
  if (at % 16 == 0) out.sum[at / 16] = static_cast<int16_t>(sum);
  if (at % 32 == 0) out.scale[at / 32] = most / 127.0f;
}

}  // namespace pare::cuda

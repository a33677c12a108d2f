// Launching kernels, and what they share. For .cu files only.
#pragma once

#include <cuda_fp16.h>

#include <utility>

#include "kernels/cuda/device.h"

namespace pare::cuda {

// With `Stream::overlap` a kernel is on the device before the one before it has ended. It may read
// weights then, and says with start_next() that the one behind it may come, too; after
// wait_for_inputs() what kernels before it wrote can be read, and what they read can be written.
__device__ __forceinline__ void start_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
template <typename... Params, typename... Args>
void launch(Stream& stream, void (*kernel)(Params...), dim3 grid, int threads, size_t shared,
            Args&&... args) {
  if (stream.error != cudaSuccess) return;
  if (shared > (40u << 10)) {  // with what a kernel has besides, 48 KiB need no leave
    stream.note(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     static_cast<int>(shared)));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream.handle;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = stream.overlap ? 1 : 0;
  stream.note(cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...));
}

// Kernels that share a processor must divide its memory between cache and shared memory alike.
template <typename Kernel>
void prefer_shared_memory(Stream& stream, Kernel kernel) {
  stream.note(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                   cudaSharedmemCarveoutMaxShared));
}

constexpr int64_t blocks_for(int64_t count, int64_t each) { return (count + each - 1) / each; }
inline dim3 grid_of(int64_t x, int64_t y = 1, int64_t z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(0xffffffffu, v, i);
  return v;
}
__device__ __forceinline__ int warp_sum(int v) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(0xffffffffu, v, i);
  return v;
}
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, i));
  return v;
}

// Of all threads of a block, to all of them. `shared`: 33 floats.
template <bool kMax>
__device__ float block_reduce(float v, float* shared) {
  v = kMax ? warp_max(v) : warp_sum(v);
  const int warps = static_cast<int>(blockDim.x) / 32, lane = threadIdx.x % 32;
  if (lane == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = lane < warps ? shared[lane] : kMax ? -INFINITY : 0.0f;
    v = kMax ? warp_max(v) : warp_sum(v);
    if (lane == 0) shared[32] = v;
  }
  __syncthreads();
  v = shared[32];
  __syncthreads();
  return v;
}

__device__ __forceinline__ float gate(Gate kind, float x) {
  switch (kind) {
    case Gate::kSilu:
      return x / (1.0f + expf(-x));
    case Gate::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case Gate::kGeluErf:
      return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
    default:
      return x;
  }
}

}  // namespace pare::cuda

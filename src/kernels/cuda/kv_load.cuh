// Numbers of the cache of keys and values. What is stored by one kernel is read by others, so
// nothing here goes past the coherent caches.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/launch.cuh"

namespace pare::cuda {

// Keys or values of a layer.
struct KvSide {
  CodecId form;
  int columns;
  const uint8_t* data;
  const uint16_t* scales;
};
__device__ __forceinline__ KvSide keys_of(const KvLayer& layer) {
  return {layer.form, layer.key_columns, layer.keys, layer.key_scales};
}
__device__ __forceinline__ KvSide values_of(const KvLayer& layer) {
  return {layer.form, layer.value_columns, layer.values, layer.value_scales};
}

// Columns c .. c + 3 of a row; c is a multiple of 4.
__device__ __forceinline__ float4 load_columns(const KvSide& side, int64_t row, int c) {
  switch (side.form) {
    case CodecId::kF32:
      return *reinterpret_cast<const float4*>(side.data + (row * side.columns + c) * 4);
    case CodecId::kF16: {
      const uint2 bits = *reinterpret_cast<const uint2*>(side.data + (row * side.columns + c) * 2);
      const float2 a = __half22float2(*reinterpret_cast<const __half2*>(&bits.x));
      const float2 b = __half22float2(*reinterpret_cast<const __half2*>(&bits.y));
      return make_float4(a.x, a.y, b.x, b.y);
    }
    case CodecId::kQ8_0: {
      const float d = half_to_float(side.scales[row * (side.columns / 32) + c / 32]);
      const char4 q = *reinterpret_cast<const char4*>(side.data + row * side.columns + c);
      return make_float4(d * static_cast<float>(q.x), d * static_cast<float>(q.y),
                         d * static_cast<float>(q.z), d * static_cast<float>(q.w));
    }
    default: {
      const float d = half_to_float(side.scales[row * (side.columns / 32) + c / 32]);
      const uint32_t bytes = *reinterpret_cast<const uint32_t*>(
          side.data + row * (side.columns / 2) + c / 32 * 16 + c % 16);
      const uint32_t q = bytes >> (c % 32 / 16 * 4) & 0x0f0f0f0fu;
      const auto value = [&](int i) {
        return d * static_cast<float>(static_cast<int>(q >> (8 * i) & 15u) - 8);
      };
      return make_float4(value(0), value(1), value(2), value(3));
    }
  }
}

}  // namespace pare::cuda

// The input of products with one token: normed where that is asked for, and rounded to bytes, by
// each block of threads for itself. For .cu files only.
#pragma once

#include "kernels/cuda/matvec.cuh"

namespace pare::cuda {

struct OneArgs {
  Segment segment[kMaxSegments];
  int first_block[kMaxSegments + 1];  // of the grid; behind the last segment's no number comes
  int segments, columns;
  const float* x;
  NormWeight norm;
  Gate gate;
  Books books;
};

// In which order the input's columns lie: as the units of the one codec that all matrices have, or
// of most codecs.
template <typename List>
struct OrderOf {
  using Type = PlainColumns;
};
template <typename C>
struct OrderOf<CodecList<C>> {
  using Type = C;
};

// The input as bytes, in shared memory: x = group[c / 32].x * q[c]. group[].y is the sum of 32 x as
// they are rounded, sum[c / 16] that of 16. Bytes lie in two planes: those of the first groups of
// all units, then those of the second, so that lanes with neighbouring units read neighbouring
// bytes.
struct OneInput {
  int8_t* q;
  float2* group;
  float* sum;
  int units;
  static size_t bytes(int64_t columns) { return static_cast<size_t>(columns) * 3 / 2; }
  __device__ OneInput(uint8_t* memory, int columns)
      : q(reinterpret_cast<int8_t*>(memory)),
        group(reinterpret_cast<float2*>(memory + columns)),
        sum(reinterpret_cast<float*>(memory + columns + columns / 4)),
        units(columns / kUnitColumns) {}
  __device__ __forceinline__ int8_t* at(int unit, int g) const {
    return q + (g * units + unit) * kGroupColumns;
  }
  __device__ __forceinline__ Words4 words(int unit, int g) const { return read16(at(unit, g)); }
};

// Rounds columns 4 i .. 4 i + 3; eight neighbouring lanes have a group of 32.
template <typename Order>
__device__ __forceinline__ void put_bytes(const OneInput& to, int i, bool inside, const float4& v) {
  float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
#pragma unroll
  for (int l = 1; l < 8; l *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, l));
  const float inverse = most > 1e-30f ? __fdividef(127.0f, most) : 0.0f;
  const float scale = most * (1.0f / 127.0f);
  const auto low = __byte_perm(__float2int_rn(v.x * inverse), __float2int_rn(v.y * inverse), 0x40);
  const auto high = __byte_perm(__float2int_rn(v.z * inverse), __float2int_rn(v.w * inverse), 0x40);
  const uint32_t q = __byte_perm(low, high, 0x5410);
  int sum = __dp4a(static_cast<int>(q), 0x01010101, 0);
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  const int both = sum + __shfl_xor_sync(0xffffffffu, sum, 4);
  if (!inside) return;
  const int n = i / 4;
  *reinterpret_cast<uint32_t*>(to.at(Order::unit_of(n), Order::group_of(n)) + 4 * (i % 4)) = q;
  if (i % 4 == 0) to.sum[n] = scale * static_cast<float>(sum);
  if (i % 8 == 0) to.group[i / 8] = make_float2(scale, scale * static_cast<float>(both));
}
// As floats, for float weights: of eight columns four lie in one plane, four in another.
__device__ __forceinline__ void put_floats(float4* to, int columns, int i, bool inside,
                                           const float4& v) {
  if (inside) to[i / 2 + (i % 2) * (columns / 8)] = v;
}

// Waits for the input and brings it to shared memory by put(i, inside, columns 4 i .. 4 i + 3);
// then all threads can read it.
template <int kThreads, typename Put>
__device__ __forceinline__ void take_input(const OneArgs& a, const Put& put) {
  constexpr int kBatch = 4, kStep = kBatch * kThreads;
  __shared__ float sums[kThreads / 32];
  const auto* weights = reinterpret_cast<const float4*>(a.norm.weight);
  const auto* x = reinterpret_cast<const float4*>(a.x);
  const int count = a.columns / 4, lane = threadIdx.x % 32;
  const bool normed = weights != nullptr;
  const float4 zero = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  float4 w[kBatch], v[kBatch];
  const auto load = [&](const float4* from, int begin, float4(&to)[kBatch]) {
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int i = begin + k * kThreads + static_cast<int>(threadIdx.x);
      to[k] = i < count ? from[i] : zero;
    }
  };
  const auto squares = [](const float4& p) {
    return p.x * p.x + p.y * p.y + p.z * p.z + p.w * p.w;
  };
  if (normed) load(weights, 0, w);  // a weight: it does not wait
  wait_for_inputs();
  load(x, 0, v);
  float factor = 1.0f;
  if (normed) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < kBatch; ++k) sum += squares(v[k]);
#pragma unroll 1
    for (int i = kStep + static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      sum += squares(x[i]);
    }
    sum = warp_sum(sum);
    if (lane == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = warp_sum(lane < kThreads / 32 ? sums[lane] : 0.0f);
    factor = rsqrtf(__fdividef(sum, static_cast<float>(a.columns)) + a.norm.epsilon);
  }
#pragma unroll 1
  for (int begin = 0; begin < count; begin += kStep) {
    if (begin > 0) {
      load(x, begin, v);
      if (normed) load(weights, begin, w);
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (begin + k * kThreads >= count) break;
      const int i = begin + k * kThreads + static_cast<int>(threadIdx.x);
      if (normed) {
        v[k] = make_float4(v[k].x * factor * w[k].x, v[k].y * factor * w[k].y,
                           v[k].z * factor * w[k].z, v[k].w * factor * w[k].w);
      }
      put(i, i < count, v[k]);
    }
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
// Adds what columns with this scale and offset give: of their levels' dot product, the input's
// scale and its sum.
template <typename C>
__device__ __forceinline__ void add_scaled(float scale, float offset, int dot, float x_scale,
                                           float x_sum, float* sum) {
  float value = x_scale * static_cast<float>(dot);
  if (C::kZero != 0) value = fmaf(-static_cast<float>(C::kZero), x_sum, value);
  *sum = fmaf(scale, value, *sum);
  if (C::kOffsets) *sum = fmaf(offset, x_sum, *sum);
}

template <typename C>
concept HasOneScale = requires {
  C::kOneScale;
};
template <typename C>
concept HasPairs = requires {
  C::kPairs;
};
template <typename C>
concept HasHalves = requires(BlockOf<Near> block, uint32_t* out) {
  C::levels(block, 0, out);
};

// Adds unit `number` of a row, unit `within` of a block, one of each row.
template <typename C, typename Order, int kRows>
__device__ __forceinline__ void add_unit(const Unit (&unit)[kRows], const OneInput& x, int number,
                                         int within, float (&sum)[kRows]) {
  constexpr bool kAsUnits = std::is_base_of_v<PlainColumns, C> || std::is_same_v<Order, C>;
  const int begin = (number - within) * kUnitColumns;
  const auto words = [&](int g) {
    if constexpr (kAsUnits) return x.words(number, g);
    const int n = (begin + C::column(within, g)) / kGroupColumns;
    return x.words(Order::unit_of(n), Order::group_of(n));
  };
  if constexpr (HasOneScale<C>) {
    const Words4 low = words(0), high = words(1);
    const float2 group = x.group[number];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int dot = dot16(unit[r].level + 4, high, dot16(unit[r].level, low, 0));
      add_scaled<C>(unit[r].scale[0], unit[r].offset[0], dot, group.x, group.y, &sum[r]);
    }
  } else {
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      const int column = begin + C::column(within, g);
      const Words4 low = words(g);
      const float scale = x.group[column / 32].x;
      float all = 0.0f;
      if (C::kZero != 0 || C::kOffsets) all = x.sum[column / 16];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int dot = dot16(unit[r].level + 4 * g, low, 0);
        add_scaled<C>(unit[r].scale[g], unit[r].offset[g], dot, scale, all, &sum[r]);
      }
    }
  }
}
// The same for two units that are pair `number` of a row, units 2 * number + flip and the other,
// of codecs that have pairs.
template <typename C, typename Order, int kRows>
__device__ __forceinline__ void add_pair(const Unit (&one)[kRows], const Unit (&two)[kRows],
                                         const OneInput& x, int number, int flip,
                                         float (&sum)[kRows]) {
  const int first = 2 * number + flip, second = 2 * number + 1 - flip;
  const auto words = [&](int unit, int g) {
    if constexpr (std::is_same_v<Order, C>) return x.words(unit, g);
    const int n = (unit >> 1) * 4 + g * 2 + (unit & 1);
    return x.words(Order::unit_of(n), Order::group_of(n));
  };
  const float4 groups = *reinterpret_cast<const float4*>(x.group + 2 * number);
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const Words4 low = words(first, g), high = words(second, g);
    const float x_scale = g == 0 ? groups.x : groups.z, x_sum = g == 0 ? groups.y : groups.w;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int dot = dot16(two[r].level + 4 * g, high, dot16(one[r].level + 4 * g, low, 0));
      add_scaled<C>(one[r].scale[g], one[r].offset[g], dot, x_scale, x_sum, &sum[r]);
    }
  }
}

}  // namespace pare::cuda

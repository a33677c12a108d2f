// Products of quantized matrices with many tokens: weights are unpacked into shared memory as
// halves, 128 columns at a time, while the columns before them are multiplied. For family_*.cu.
#pragma once

#include "kernels/cuda/family.h"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/units.h"

namespace pare::cuda {

inline constexpr int kPackedRows = 64, kPackedTokens = 64, kPackedDepth = 128;
inline constexpr int kPackedStride = kPackedDepth + 8, kPackedThreads = 128;
inline constexpr int kPackedShared = 2 * (kPackedRows + kPackedTokens) * kPackedStride * 2;

// Value i of a group of a unit.
template <typename C>
__device__ __forceinline__ float value_at(const Unit& unit, int g, int i) {
  const float value =
      unit.scale[g] * static_cast<float>(level_at(unit, kGroupColumns * g + i) - C::kZero);
  return C::kOffsets ? value + unit.offset[g] : value;
}
template <typename C>
__device__ __forceinline__ void store_group(const Unit& unit, int g, __half* to) {
#pragma unroll
  for (int i = 0; i < kGroupColumns; i += 8) {
    uint4 packed;
    packed.x = pack_halves(value_at<C>(unit, g, i), value_at<C>(unit, g, i + 1));
    packed.y = pack_halves(value_at<C>(unit, g, i + 2), value_at<C>(unit, g, i + 3));
    packed.z = pack_halves(value_at<C>(unit, g, i + 4), value_at<C>(unit, g, i + 5));
    packed.w = pack_halves(value_at<C>(unit, g, i + 6), value_at<C>(unit, g, i + 7));
    *reinterpret_cast<uint4*>(to + i) = packed;
  }
}

template <typename C>
__device__ void packed_gemm(const PackedArgs& a, __half* shared) {
  constexpr int kUnits = kPackedDepth / kUnitColumns;  // of a row in a step
  constexpr int kOfThread = kPackedRows * kUnits / kPackedThreads;
  constexpr int kSide = kPackedRows * kPackedStride;
  const Matrix& m = a.segment.matrix;
  const int64_t first_row = int64_t{blockIdx.y} * kPackedRows;
  const int64_t first_token = int64_t{blockIdx.x} * kPackedTokens;
  const int columns = static_cast<int>(m.columns), blocks = columns / C::kBlockLen;
  const int steps = (columns + kPackedDepth - 1) / kPackedDepth;
  Unit unit[kOfThread];
  // Units of a step lie in the same 128 columns as the step (units_test.cpp).
  const auto unpack = [&](int step) {
#pragma unroll
    for (int i = 0; i < kOfThread; ++i) {
      const int job = threadIdx.x + i * kPackedThreads;
      const int64_t row = min(first_row + job / kUnits, m.rows - 1);
      const int u = step * kUnits + job % kUnits, in_block = C::kBlockLen / kUnitColumns;
      if (u >= columns / kUnitColumns) {
        for (int g = 0; g < 2; ++g) unit[i].scale[g] = unit[i].offset[g] = 0.0f;
        continue;
      }
      const int64_t index = row * blocks + u / in_block;
      C::unpack(block_at<C>(m.field, index), u % in_block, a.books, &unit[i]);
    }
  };
  const auto store = [&](__half* w) {
#pragma unroll
    for (int i = 0; i < kOfThread; ++i) {
      const int job = threadIdx.x + i * kPackedThreads;
      constexpr int kInBlock = C::kBlockLen / kUnitColumns;
#pragma unroll
      for (int g = 0; g < 2; ++g) {
        // Of the step: blocks shorter than it follow each other, longer ones are cut.
        const int u = job % kUnits;
        const int column = kInBlock >= kUnits
                               ? C::column(u, g)
                               : u / kInBlock * C::kBlockLen + C::column(u % kInBlock, g);
        store_group<C>(unit[i], g, w + job / kUnits * kPackedStride + column);
      }
    }
  };
  const auto copy = [&](int step, __half* x) {
    for (int job = threadIdx.x; job < kPackedTokens * kPackedDepth / 8; job += kPackedThreads) {
      const int t = job / (kPackedDepth / 8), c = job % (kPackedDepth / 8) * 8;
      const bool valid = first_token + t < a.tokens;
      const int64_t from = (valid ? first_token + t : 0) * a.x.stride + step * kPackedDepth + c;
      copy_async(x + t * kPackedStride + c, a.x.data + from, valid);
    }
    commit_copies();
  };
  float sum[2][4][4] = {};
  const int warp = threadIdx.x / 32;
  copy(0, shared);
  unpack(0);
  store(shared + 2 * kSide);
  for (int step = 0; step < steps; ++step) {
    const int now = step % 2, next = 1 - now;
    wait_copies<0>();
    __syncthreads();
    if (step + 1 < steps) {
      copy(step + 1, shared + next * kSide);
      unpack(step + 1);
    }
    multiply_tile<2, 2, kPackedStride, kPackedDepth>(
        shared + now * kSide, shared + (2 + now) * kSide, warp % 2 * 32, warp / 2 * 32, sum);
    if (step + 1 < steps) store(shared + (2 + next) * kSide);
  }
  put_tile<2, 2>(a.segment.out, a.x.scale, first_token + warp % 2 * 32, first_row + warp / 2 * 32,
                 a.tokens, m.rows, sum);
}

template <typename C>
__global__ void __launch_bounds__(kPackedThreads)
    packed_gemm_kernel(const __grid_constant__ PackedArgs a) {
  extern __shared__ __align__(16) __half packed_memory[];
  wait_for_inputs();
  packed_gemm<C>(a, packed_memory);
}

template <typename... C>
void launch_packed(CodecList<C...>, Stream& stream, const PackedArgs& a) {
  const dim3 grid =
      grid_of(blocks_for(a.tokens, kPackedTokens), blocks_for(a.segment.matrix.rows, kPackedRows));
  const CodecId id = a.segment.matrix.codec;
  ((id == C::kId ? launch(stream, packed_gemm_kernel<C>, grid, kPackedThreads, kPackedShared, a)
                 : void()),
   ...);
}

// A warp takes 32 units of a row, 1024 columns, and writes what they say as one piece.
inline constexpr int kUnpackWarps = 4, kUnpackColumns = 32 * kUnitColumns;

template <typename C>
__device__ void unpack_rows(const UnpackArgs& a, __half* halves) {
  constexpr int kUnits = C::kBlockLen / kUnitColumns;
  const int lane = threadIdx.x % 32, columns = static_cast<int>(a.matrix.columns);
  const int pieces = (columns + kUnpackColumns - 1) / kUnpackColumns;
  const int64_t job = int64_t{blockIdx.x} * kUnpackWarps + threadIdx.x / 32;
  const int64_t i = job / pieces;
  if (i >= a.count) return;
  const int first = static_cast<int>(job % pieces) * kUnpackColumns;
  const int64_t row = a.index != nullptr ? a.index[i] : i;
  const int u = first / kUnitColumns + lane, block = u / kUnits;
  const bool inside = u * kUnitColumns < columns;
  Unit unit;
  if (inside) {
    C::unpack(block_at<C>(a.matrix.field, row * (columns / C::kBlockLen) + block), u % kUnits,
              a.books, &unit);
  }
  if (a.half == nullptr) {
    if (!inside) return;
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      float* to =
          a.floats.data + i * a.floats.stride + block * C::kBlockLen + C::column(u % kUnits, g);
#pragma unroll
      for (int c = 0; c < kGroupColumns; ++c) to[c] = value_at<C>(unit, g, c) * a.factor;
    }
    return;
  }
  if (inside) {
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      store_group<C>(unit, g, halves + block * C::kBlockLen + C::column(u % kUnits, g) - first);
    }
  }
  __syncwarp();
  uint16_t* to = a.half + i * columns + first;
  const int count = min(kUnpackColumns, columns - first);
#pragma unroll
  for (int c = 0; c < kUnpackColumns; c += 256) {
    const int at = c + 8 * lane;
    if (at < count) {
      *reinterpret_cast<uint4*>(to + at) = *reinterpret_cast<const uint4*>(halves + at);
    }
  }
}

template <typename List>
struct UnpackKernel;
template <typename... C>
struct UnpackKernel<CodecList<C...>> {
  static __device__ void run(const UnpackArgs& a, __half* halves) {
    const CodecId id = a.matrix.codec;
    ((id == C::kId ? unpack_rows<C>(a, halves) : void()), ...);
  }
};
template <typename List>
__global__ void __launch_bounds__(32 * kUnpackWarps)
    unpack_kernel(const __grid_constant__ UnpackArgs a) {
  __shared__ __align__(16) __half halves[kUnpackWarps][kUnpackColumns];
  wait_for_inputs();
  UnpackKernel<List>::run(a, halves[threadIdx.x / 32]);
}

template <typename List>
void launch_unpack(Stream& stream, const UnpackArgs& a) {
  const int64_t jobs = a.count * blocks_for(a.matrix.columns, kUnpackColumns);
  launch(stream, unpack_kernel<List>, grid_of(blocks_for(jobs, kUnpackWarps)), 32 * kUnpackWarps, 0,
         a);
}

template <typename C>
constexpr DeviceCodec describe() {
  DeviceCodec c{C::kId, false, C::kBlockLen, C::kFieldCount, {}};
  for (int f = 0; f < C::kFieldCount; ++f) c.field[f] = C::field(f);
  return c;
}
template <typename... C>
std::span<const DeviceCodec> describe_all(CodecList<C...>) {
  static constexpr DeviceCodec kList[] = {describe<C>()...};
  return kList;
}

}  // namespace pare::cuda

// Products with one token on sm_90 and newer: what decoding spends its time in. Each warp has a
// ring of pieces of its rows in shared memory, which the copy engine fills far ahead of use; the
// first pieces are asked for before the input is there. For family_*.cu.
#pragma once

#include <algorithm>
#include <tuple>

#include "kernels/cuda/one_input.cuh"
#include "kernels/cuda/stream_copy.cuh"

namespace pare::cuda {

// How pieces of rows of a codec lie in a stage of the ring: field by field, each with up to 15
// bytes before it and behind it, since copies begin and end at multiples of 16.
template <typename C>
struct Piece {
  static constexpr int kBlockLen = C::kBlockLen, kFields = C::kFieldCount;
  static constexpr int kColumns = 2048, kBlocks = kColumns / kBlockLen;
  static __device__ constexpr int bytes(int f) { return C::field(f).bytes; }
};
template <IsFloat C>
struct Piece<C> {
  static constexpr int kBlockLen = 1, kFields = 1;
  static constexpr int kColumns = 1024, kBlocks = kColumns;
  static __device__ constexpr int bytes(int) { return C::kBytes; }
};
template <typename C>
__host__ __device__ constexpr int slot_of(int field) {
  int at = 0;
  for (int f = 0; f < field; ++f) {
    int bytes = 0;
    if constexpr (requires { C::kFloat; }) {
      bytes = 1024 * C::kBytes;
    } else {
      bytes = 2048 / C::kBlockLen * C::field(f).bytes;
    }
    at += (bytes + 15) / 16 * 16 + 16;
  }
  return at;
}
template <typename C>
__host__ __device__ constexpr int stage_bytes() {
  if constexpr (requires { C::kFloat; }) {
    return slot_of<C>(1);
  } else {
    return slot_of<C>(C::kFieldCount);
  }
}
template <typename List>
struct Ring;
template <typename... C>
struct Ring<CodecList<C...>> {
  // Of one row; the largest of the codecs'.
  static constexpr int kStage = [] {
    int most = 0;
    ((most = stage_bytes<C>() > most ? stage_bytes<C>() : most), ...);
    return most;
  }();
  static constexpr bool kFloats = (IsFloat<C> || ...);
};

// What a warp does one after the other: pieces of jobs, a job being kRows rows.
struct Cursor {
  int job, piece;
};

// Which rows a job is.
template <int kRows>
__device__ __forceinline__ int find_rows(const OneArgs& a, int job, const Matrix** matrix,
                                         int* row) {
  int s = 0;
  while (job >= a.first_block[s + 1]) ++s;
  const bool gated = a.gate != Gate::kNone;
  const Matrix& m = a.segment[s].matrix;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    matrix[r] = gated ? &a.segment[r].matrix : &m;
    const int first = (job - a.first_block[s]) * (gated ? 1 : kRows);
    row[r] = gated ? first : min(first + r, static_cast<int>(m.rows) - 1);
  }
  return s;
}

// By one lane: asks for a piece of a row.
template <typename C>
__device__ __forceinline__ uint32_t fetch_piece(const Matrix& m, int row, int piece, int columns,
                                                uint8_t* to, uint64_t* barrier, bool copy) {
  using P = Piece<C>;
  const int blocks = columns / P::kBlockLen, begin = piece * P::kBlocks;
  const int count = min(P::kBlocks, blocks - begin);
  const int64_t first = static_cast<int64_t>(row) * blocks + begin;
  uint32_t total = 0;
#pragma unroll
  for (int f = 0; f < P::kFields; ++f) {
    const auto at = reinterpret_cast<uintptr_t>(m.field[f]) + first * P::bytes(f);
    const uintptr_t from = at & ~uintptr_t{15};
    const auto bytes =
        static_cast<uint32_t>(((at + count * P::bytes(f) + 15) & ~uintptr_t{15}) - from);
    if (copy) copy_bulk(to + slot_of<C>(f), reinterpret_cast<const void*>(from), bytes, barrier);
    total += bytes;
  }
  return total;
}
template <typename... C>
__device__ __forceinline__ uint32_t fetch_piece(CodecList<C...>, const Matrix& m, int row,
                                                int piece, int columns, uint8_t* to,
                                                uint64_t* barrier, bool copy) {
  uint32_t total = 0;
  ((m.codec == C::kId ? void(total = fetch_piece<C>(m, row, piece, columns, to, barrier, copy))
                      : void()),
   ...);
  return total;
}

// Adds what a piece gives to the sums of its rows. x: bytes, or floats for float weights.
template <typename C, int kRows, int kStage>
__device__ __forceinline__ void add_piece(const OneArgs& a, const OneInput& x, const float* floats,
                                          const Matrix* const* matrix, const int* row, int piece,
                                          const uint8_t* stage, float (&sum)[kRows]) {
  using P = Piece<C>;
  const int lane = threadIdx.x % 32, blocks = a.columns / P::kBlockLen;
  const int begin = piece * P::kBlocks, count = min(P::kBlocks, blocks - begin);
  if constexpr (IsFloat<C>) {
    const float* in = floats + piece * P::kColumns;
#pragma unroll 2
    for (int c = 8 * lane; c < count; c += 256) {
      const float4 p = *reinterpret_cast<const float4*>(in + c);
      const float4 q = *reinterpret_cast<const float4*>(in + c + 4);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float w[8];
        C::eight(Near{stage + r * kStage + c * C::kBytes}, w);
        sum[r] += w[0] * p.x + w[1] * p.y + w[2] * p.z + w[3] * p.w + w[4] * q.x + w[5] * q.y +
                  w[6] * q.z + w[7] * q.w;
      }
    }
  } else {
    constexpr int kUnits = C::kBlockLen / kUnitColumns;
    // Where the fields begin: as far behind a multiple of 16 as in memory.
    BlockOf<Near> fields[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t first = static_cast<int64_t>(row[r]) * blocks + begin;
#pragma unroll
      for (int f = 0; f < C::kFieldCount; ++f) {
        uint32_t shift = 0;
        if (C::field(f).bytes % 16 != 0) {
          shift = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(matrix[r]->field[f]) +
                                        first * C::field(f).bytes) &
                  15u;
        }
        fields[r].field[f] = Near{stage + r * kStage + slot_of<C>(f) + shift};
      }
    }
    for (int u = lane; u < count * kUnits; u += 32) {
      const int block = u / kUnits, within = u % kUnits;
      Unit unit[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        BlockOf<Near> b{};
#pragma unroll
        for (int f = 0; f < C::kFieldCount; ++f) {
          b.field[f] = fields[r].field[f] + block * C::field(f).bytes;
        }
        C::unpack(b, within, a.books, &unit[r]);
      }
#pragma unroll
      for (int g = 0; g < 2; ++g) {
        const int column = (begin + block) * C::kBlockLen + C::column(within, g);
        const Words4 words = read16(x.q + column);
        const float scale = x.scale[column / 32];
        int all = 0;
        if (C::kZero != 0 || C::kOffsets) all = x.sum[column / 16];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          int dot = 0;
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            dot = __dp4a(static_cast<int>(unit[r].level[4 * g + i]), static_cast<int>(words.w[i]),
                         dot);
          }
          if (C::kZero != 0) dot -= C::kZero * all;
          float value = unit[r].scale[g] * static_cast<float>(dot);
          if (C::kOffsets) value += unit[r].offset[g] * static_cast<float>(all);
          sum[r] += scale * value;
        }
      }
    }
  }
}
template <int kRows, int kStage, typename... C>
__device__ __forceinline__ void add_piece(CodecList<C...>, const OneArgs& a, const OneInput& x,
                                          const float* floats, const Matrix* const* matrix,
                                          const int* row, int piece, const uint8_t* stage,
                                          float (&sum)[kRows]) {
  const CodecId id = matrix[0]->codec;
  ((id == C::kId ? add_piece<C, kRows, kStage>(a, x, floats, matrix, row, piece, stage, sum)
                 : void()),
   ...);
}

// The input as floats in shared memory.
__device__ __forceinline__ void copy_input(const OneArgs& a, float* to) {
  const float factor = norm_factor(a);
  for (int c = 4 * threadIdx.x; c < a.columns; c += 4 * kOneThreads) {
    *reinterpret_cast<float4*>(to + c) = input_at(a, factor, c);
  }
  __syncthreads();
}

inline size_t input_bytes(int64_t columns, bool floats) {
  const auto n = static_cast<size_t>(columns);
  return floats ? 4 * n : (n + n / 8 + n / 8 + 15) / 16 * 16;
}

template <typename List, int kRows, int kStages>
__global__ void __launch_bounds__(kOneThreads, 3)
    matvec_stream_kernel(const __grid_constant__ OneArgs a, int pieces, int input) {
  extern __shared__ __align__(128) uint8_t stream_memory[];
  __shared__ __align__(8) uint64_t barriers[kOneWarps][kStages];
  constexpr int kStage = Ring<List>::kStage;
  start_next();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int step = static_cast<int>(gridDim.x) * kOneWarps;
  const bool gated = a.gate != Gate::kNone;
  const int jobs = a.first_block[gated ? 1 : a.segments];
  uint8_t* ring = stream_memory + input + warp * (kStages * kRows * kStage);
  uint64_t* barrier = barriers[warp];
  if (lane == 0) {
    for (int s = 0; s < kStages; ++s) init_barrier(barrier + s);
    publish_barriers();
  }
  __syncwarp();
  // Neighbouring jobs go to different processors.
  const Cursor start{warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x), 0};
  Cursor ahead = start;
  const auto fetch = [&](int stage) {  // by one lane
    if (ahead.job >= jobs) return;
    const Matrix* matrix[kRows];
    int row[kRows];
    find_rows<kRows>(a, ahead.job, matrix, row);
    uint8_t* to = ring + stage * (kRows * kStage);
    uint32_t bytes = 0;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      bytes += fetch_piece(List(), *matrix[r], row[r], ahead.piece, a.columns, to, nullptr, false);
    }
    expect_bytes(barrier + stage, bytes);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      fetch_piece(List(), *matrix[r], row[r], ahead.piece, a.columns, to + r * kStage,
                  barrier + stage, true);
    }
    if (++ahead.piece == pieces) ahead = {ahead.job + step, 0};
  };
  if (lane == 0) {
    for (int s = 0; s < kStages; ++s) fetch(s);
  }
  wait_for_inputs();
  OneInput x{};
  auto* floats = reinterpret_cast<float*>(stream_memory);
  if constexpr (Ring<List>::kFloats) {
    copy_input(a, floats);
  } else {
    x.q = reinterpret_cast<int8_t*>(stream_memory);
    x.scale = reinterpret_cast<float*>(stream_memory + a.columns);
    x.sum = reinterpret_cast<int16_t*>(x.scale + a.columns / 32);
    round_input(a, x);
  }
  int stage = 0;
  uint32_t parity = 0;
  for (int job = start.job; job < jobs; job += step) {
    const Matrix* matrix[kRows];
    int row[kRows];
    const int s = find_rows<kRows>(a, job, matrix, row);
    float sum[kRows] = {};
    for (int piece = 0; piece < pieces; ++piece) {
      wait_barrier(barrier + stage, parity);
      add_piece<kRows, kStage>(List(), a, x, floats, matrix, row, piece,
                               ring + stage * (kRows * kStage), sum);
      __syncwarp();
      if (lane == 0) fetch(stage);
      if (++stage == kStages) {
        stage = 0;
        parity ^= 1u;
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] = warp_sum(sum[r]);
    if (gated) {
      if (lane != 0) continue;
      const Output &one = a.segment[0].out, &two = a.segment[1].out;
      float value = sum[0], other = sum[kRows - 1];
      if (one.bias != nullptr) value += one.bias[row[0]];
      if (two.bias != nullptr) other += two.bias[row[0]];
      one.y.data[row[0]] = gate(a.gate, value) * other;
      continue;
    }
    const int first = row[0] + lane;
    if (lane >= kRows || first >= a.segment[s].matrix.rows) continue;
    float value = lane == 0 ? sum[0] : sum[kRows - 1];
    const Output& out = a.segment[s].out;
    if (out.bias != nullptr) value += out.bias[first];
    if (out.residual.data != nullptr) value += out.residual.data[first];
    out.y.data[first] = value;
  }
}

// The kernel of the one codec that all matrices have, or of the family.
template <typename List, int kRows, int kStages>
void start_stream(Stream& stream, const OneArgs& a, int piece_columns) {
  const size_t input = (input_bytes(a.columns, Ring<List>::kFloats) + 127) / 128 * 128;
  const size_t shared = input + size_t{kOneWarps} * kStages * kRows * Ring<List>::kStage;
  const int64_t jobs = a.first_block[a.gate != Gate::kNone ? 1 : a.segments];
  // As many blocks as are on the device at once.
  const auto room = static_cast<size_t>(stream.shared_memory);
  const auto each = static_cast<int64_t>(std::clamp<size_t>(room / (shared + 2048), 1, 3));
  const int64_t blocks = std::min(blocks_for(jobs, kOneWarps), each * int64_t{stream.processors});
  launch(stream, matvec_stream_kernel<List, kRows, kStages>, grid_of(blocks), kOneThreads, shared,
         a, static_cast<int>(blocks_for(a.columns, piece_columns)), static_cast<int>(input));
}

template <typename List>
struct StreamOf;
template <typename... C>
struct StreamOf<CodecList<C...>> {
  static constexpr int kColumns = Piece<std::tuple_element_t<0, std::tuple<C...>>>::kColumns;
  // So many stages that a warp's ring is some kilobytes.
  template <typename L, int kRows>
  static constexpr int kStages = Ring<L>::kStage* kRows <= 2600 ? 3 : 2;
  template <int kRows>
  static void run(Stream& stream, const OneArgs& a) {
    const CodecId id = a.segment[0].matrix.codec;
    bool alike = true;
    for (int s = 1; s < a.segments; ++s) alike = alike && a.segment[s].matrix.codec == id;
    if (!alike) {
      using All = CodecList<C...>;
      return start_stream<All, kRows, kStages<All, kRows>>(stream, a, kColumns);
    }
    ((id == C::kId
          ? start_stream<CodecList<C>, kRows, kStages<CodecList<C>, kRows>>(stream, a, kColumns)
          : void()),
     ...);
  }
};

template <typename List>
void launch_matvec_stream(Stream& stream, OneArgs& a) {
  const bool gated = a.gate != Gate::kNone;
  int64_t all_rows = 0;
  for (int s = 0; s < a.segments; ++s) all_rows += a.segment[s].matrix.rows;
  // One row for each warp where all of them are on the device at once.
  const int rows = !gated && all_rows <= int64_t{3} * kOneWarps * stream.processors ? 1 : 2;
  a.first_block[0] = 0;
  for (int s = 0; s < (gated ? 1 : a.segments); ++s) {
    a.first_block[s + 1] =
        a.first_block[s] + static_cast<int>(blocks_for(a.segment[s].matrix.rows, gated ? 1 : rows));
  }
  rows == 1 ? StreamOf<List>::template run<1>(stream, a)
            : StreamOf<List>::template run<2>(stream, a);
}

}  // namespace pare::cuda

// Products with one token on sm_90 and newer: what decoding spends its time in. Each warp has a
// ring of pieces of its rows in shared memory, which the copy engine fills far ahead of use; the
// first pieces are asked for before the input is there. For family_*.cu.
#pragma once

#include <algorithm>

#include "kernels/cuda/stream_ring.cuh"

namespace pare::cuda {

// Adds what a piece gives to the sums of its rows; the input is bytes, or floats for float weights.
template <typename C, int kColumns, int kRows, int kStage>
__device__ __forceinline__ void add_piece(const OneArgs& a, uint8_t* input,
                                          const Matrix* const* matrix, const int* row, int piece,
                                          const uint8_t* stage, float (&sum)[kRows]) {
  constexpr int kLen = block_len_of<C>(), kBlocks = kColumns / kLen;
  const int lane = threadIdx.x % 32, blocks = a.columns / kLen;
  const int begin = piece * kBlocks, count = min(kBlocks, blocks - begin);
  if constexpr (IsFloat<C>) {
    const float* in = reinterpret_cast<const float*>(input) + begin;
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
    constexpr int kUnits = kLen / kUnitColumns;
    const OneInput x(input, a.columns);
    // Where the fields begin: as far behind a multiple of 16 as in memory.
    BlockOf<Near> fields[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const uint32_t first = static_cast<uint32_t>(row[r]) * static_cast<uint32_t>(blocks) +
                             static_cast<uint32_t>(begin);
      for_fields<C>([&](auto f) {
        constexpr int kField = decltype(f)::kValue;
        constexpr int kBytes = bytes_of<C>(kField), kSlot = slot_of<C, kColumns>(kField);
        uint32_t shift = 0;
        if (kBytes % 16 != 0) {
          shift = (static_cast<uint32_t>(reinterpret_cast<uintptr_t>(matrix[r]->field[kField])) +
                   first * kBytes) &
                  15u;
        }
        fields[r].field[kField] = Near{stage + r * kStage + kSlot + shift};
      });
    }
    const auto block_of = [&](int r, int block) {
      BlockOf<Near> b{};
      for_fields<C>([&](auto f) {
        constexpr int kField = decltype(f)::kValue, kBytes = bytes_of<C>(kField);
        b.field[kField] = fields[r].field[kField] + block * kBytes;
      });
      return b;
    };
    if constexpr (HasPairs<C>) {
      for (int p = lane; p < count * kUnits / 2; p += 32) {
        const int block = p / (kUnits / 2), pair = p % (kUnits / 2);
        Unit one[kRows], two[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const BlockOf<Near> b = block_of(r, block);
          C::unpack(b, 2 * pair, a.books, &one[r]);
          C::unpack(b, 2 * pair + 1, a.books, &two[r]);
        }
        add_pair<C, kRows>(one, two, x, (begin + block) * kLen, pair, sum);
      }
    } else {
      for (int u = lane; u < count * kUnits; u += 32) {
        const int block = u / kUnits;
        Unit unit[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          C::unpack(block_of(r, block), u % kUnits, a.books, &unit[r]);
        }
        add_unit<C, kRows>(unit, x, (begin + block) * kLen, u % kUnits, sum);
      }
    }
  }
}
template <int kColumns, int kRows, int kStage, typename... C>
__device__ __forceinline__ void add_piece(CodecList<C...>, const OneArgs& a, uint8_t* input,
                                          const Matrix* const* matrix, const int* row, int piece,
                                          const uint8_t* stage, float (&sum)[kRows]) {
  const CodecId id = matrix[0]->codec;
  ((id == C::kId ? add_piece<C, kColumns, kRows, kStage>(a, input, matrix, row, piece, stage, sum)
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

inline constexpr int kMostStages = 3;
struct StreamSizes {
  int input;   // bytes of the input in shared memory
  int pieces;  // of a row
  int stages;
};

template <typename List, int kColumns, int kRows>
__global__ void __launch_bounds__(kOneThreads, 2)
    matvec_stream_kernel(const __grid_constant__ OneArgs a, const StreamSizes sizes) {
  extern __shared__ __align__(128) uint8_t stream_memory[];
  __shared__ __align__(8) uint64_t barriers[kOneWarps][kMostStages];
  using R = Ring<List, kColumns>;
  static_assert(kRows * R::kFields <= 32);
  start_next();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int step = static_cast<int>(gridDim.x) * kOneWarps;
  const bool gated = a.gate != Gate::kNone;
  const int jobs = a.first_block[gated ? 1 : a.segments];
  const int stages = sizes.stages, pieces = sizes.pieces;
  uint8_t* ring = stream_memory + sizes.input + warp * (stages * kRows * R::kStage);
  uint64_t* barrier = barriers[warp];
  if (lane == 0) {
    for (int s = 0; s < stages; ++s) init_barrier(barrier + s);
    publish_barriers();
  }
  __syncwarp();
  // Neighbouring jobs go to different processors.
  const int start = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  Cursor ahead{start, 0};
  // Asks for the next piece, a lane for each field of each row.
  const auto fetch = [&](int stage) {
    if (ahead.job >= jobs) return;
    const Matrix* matrix[kRows];
    int row[kRows];
    find_rows<kRows>(a, ahead.job, matrix, row);
    const int r = lane / R::kFields;
    FieldCopy copy;
    if (r < kRows) {
      find_field<kColumns>(List(), *matrix[kRows == 2 && r == 1 ? kRows - 1 : 0],
                           kRows == 2 && r == 1 ? row[kRows - 1] : row[0], ahead.piece, a.columns,
                           lane % R::kFields, &copy);
    }
    const uint32_t bytes = __reduce_add_sync(0xffffffffu, copy.bytes);
    if (lane == 0) expect_bytes(barrier + stage, bytes);
    __syncwarp();
    if (copy.bytes != 0) {
      copy_bulk(ring + (stage * kRows + r) * R::kStage + copy.slot,
                reinterpret_cast<const void*>(copy.from), copy.bytes, barrier + stage);
    }
    if (++ahead.piece == pieces) ahead = {ahead.job + step, 0};
  };
  for (int s = 0; s < stages; ++s) fetch(s);
  wait_for_inputs();
  if constexpr (R::kFloats) {
    copy_input(a, reinterpret_cast<float*>(stream_memory));
  } else {
    round_input(a, OneInput(stream_memory, a.columns));
  }
  int stage = 0;
  uint32_t parity = 0;
  for (int job = start; job < jobs; job += step) {
    const Matrix* matrix[kRows];
    int row[kRows];
    const int s = find_rows<kRows>(a, job, matrix, row);
    float sum[kRows] = {};
    for (int piece = 0; piece < pieces; ++piece) {
      wait_barrier(barrier + stage, parity);
      add_piece<kColumns, kRows, R::kStage>(List(), a, stream_memory, matrix, row, piece,
                                            ring + stage * kRows * R::kStage, sum);
      __syncwarp();
      fetch(stage);
      if (++stage == stages) {
        stage = 0;
        parity ^= 1u;
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] = warp_sum(sum[r]);
    if (gated) {
      const Output &one = a.segment[0].out, &two = a.segment[1].out;
      float value = sum[0], other = sum[kRows - 1];
      if (one.bias != nullptr) value += one.bias[row[0]];
      if (two.bias != nullptr) other += two.bias[row[0]];
      if (lane == 0) one.y.data[row[0]] = gate(a.gate, value) * other;
      continue;
    }
    const int first = row[0] + lane;
    if (lane < kRows && first < a.segment[s].matrix.rows) {
      float value = lane == 0 ? sum[0] : sum[kRows - 1];
      const Output& out = a.segment[s].out;
      if (out.bias != nullptr) value += out.bias[first];
      if (out.residual.data != nullptr) value += out.residual.data[first];
      out.y.data[first] = value;
    }
  }
}

// Blocks of kOneThreads that the registers of a processor (65536) are enough for: up to three.
template <typename Kernel>
int blocks_by_registers(Kernel kernel) {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, kernel) != cudaSuccess) return 2;
  const int of_thread = (attributes.numRegs + 7) / 8 * 8;  // they are given out in eights
  return std::clamp(65536 / (of_thread * kOneThreads), 1, 3);
}

template <typename List, int kColumns, int kRows>
void start_stream(Stream& stream, const OneArgs& a) {
  using R = Ring<List, kColumns>;
  const size_t bytes = R::kFloats ? size_t{4} * a.columns : OneInput::bytes(a.columns);
  const size_t input = (bytes + 127) / 128 * 128;
  const int64_t jobs = a.first_block[a.gate != Gate::kNone ? 1 : a.segments];
  const int64_t pieces = blocks_for(a.columns, kColumns);
  // A ring is no longer than what a warp does: the less memory a block takes, the sooner the next
  // kernel's come.
  const auto blocks_of = [&](int64_t each) {
    return std::min(blocks_for(jobs, kOneWarps), each * int64_t{stream.processors});
  };
  const int64_t of_warp = blocks_for(jobs, blocks_of(2) * kOneWarps) * pieces;
  const int64_t most = R::kStage * kRows <= 2600 ? 3 : 2;
  const auto room = static_cast<size_t>(stream.shared_memory);
  auto stages = static_cast<int>(std::min(of_warp, most));
  const auto needed = [&] { return input + size_t{kOneWarps} * stages * kRows * R::kStage; };
  while (stages > 1 && needed() + 1024 > room) --stages;  // takes_one(): one stage has room
  const size_t shared = needed();
  // As many blocks as are on the device at once, so that none waits for another.
  static const int by_registers = blocks_by_registers(matvec_stream_kernel<List, kColumns, kRows>);
  const auto each =
      std::clamp<int64_t>(static_cast<int64_t>(room / (shared + 2048)), 1, by_registers);
  launch(stream, matvec_stream_kernel<List, kColumns, kRows>, grid_of(blocks_of(each)), kOneThreads,
         shared, a, StreamSizes{static_cast<int>(input), static_cast<int>(pieces), stages});
}

// The kernel of the one codec that all matrices have, or of the family. Pieces are some kilobytes.
template <typename List>
struct StreamOf;
template <typename... C>
struct StreamOf<CodecList<C...>> {
  template <typename K>
  static constexpr int kColumns = IsFloat<K>                                ? 1024
                                  : slot_of<K, 2048>(fields_of<K>()) < 1300 ? 4096
                                                                            : 2048;
  static constexpr int kAnyColumns = (IsFloat<C> || ...) ? 1024 : 2048;
  template <int kRows>
  static void run(Stream& stream, const OneArgs& a) {
    const CodecId id = a.segment[0].matrix.codec;
    bool alike = true;
    for (int s = 1; s < a.segments; ++s) alike = alike && a.segment[s].matrix.codec == id;
    if (!alike) return start_stream<CodecList<C...>, kAnyColumns, kRows>(stream, a);
    if (a.columns > kAnyColumns) {
      ((id == C::kId ? start_stream<CodecList<C>, kColumns<C>, kRows>(stream, a) : void()), ...);
    } else {
      ((id == C::kId ? start_stream<CodecList<C>, kAnyColumns, kRows>(stream, a) : void()), ...);
    }
  }
};

template <typename List>
void launch_matvec_stream(Stream& stream, OneArgs& a) {
  const bool gated = a.gate != Gate::kNone;
  int64_t all_rows = 0;
  for (int s = 0; s < a.segments; ++s) all_rows += a.segment[s].matrix.rows;
  // Two rows for a warp cost less than twice one; unless warps are left idle by it.
  const int64_t warps = int64_t{2} * kOneWarps * stream.processors;
  const auto rounds = [&](int64_t rows) { return blocks_for(blocks_for(all_rows, rows), warps); };
  const int rows = !gated && 5 * rounds(1) <= 8 * rounds(2) ? 1 : 2;
  a.first_block[0] = 0;
  for (int s = 0; s < (gated ? 1 : a.segments); ++s) {
    a.first_block[s + 1] =
        a.first_block[s] + static_cast<int>(blocks_for(a.segment[s].matrix.rows, gated ? 1 : rows));
  }
  rows == 1 ? StreamOf<List>::template run<1>(stream, a)
            : StreamOf<List>::template run<2>(stream, a);
}

}  // namespace pare::cuda

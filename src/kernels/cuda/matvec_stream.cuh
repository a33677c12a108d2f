// Products with one token on sm_90 and newer: what decoding spends its time in. Each warp has a
// ring of pieces of its rows in shared memory, which is filled far ahead of use. A block takes half
// of a processor, so that the next kernel's blocks are there, and their rings full, when it ends.
// For family_*.cu.
#pragma once

#include <algorithm>

#include "kernels/cuda/stream_ring.cuh"

namespace pare::cuda {

// Adds what a piece gives to the sums of its rows; the input is bytes, or floats for float weights.
template <typename C, typename Order, int kColumns, int kRows, int kStage>
__device__ __forceinline__ void add_piece(const OneArgs& a, uint8_t* input,
                                          const JobRows<kRows>& rows, int piece,
                                          const uint8_t* stage, float (&sum)[kRows]) {
  constexpr int kLen = block_len_of<C>(), kBlocks = kColumns / kLen;
  const int lane = threadIdx.x % 32, blocks = a.columns / kLen;
  const int begin = piece * kBlocks, count = min(kBlocks, blocks - begin);
  if constexpr (IsFloat<C>) {
    const float4* low = reinterpret_cast<const float4*>(input) + begin;
    const float4* high = low + a.columns / 8;
#pragma unroll 2
    for (int c = lane; c < count; c += 32) {
      const float4 p = low[c], q = high[c];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float w[8];
        C::eight(Near{stage + r * kStage + c * bytes_of<C>(0)}, w);
        sum[r] += w[0] * p.x + w[1] * p.y + w[2] * p.z + w[3] * p.w + w[4] * q.x + w[5] * q.y +
                  w[6] * q.z + w[7] * q.w;
      }
    }
  } else {
    constexpr int kUnits = kLen / kUnitColumns;
    static_assert(32 % kUnits == 0);  // a lane has the same units of all its blocks
    const OneInput x(input, a.columns);
    // Where the fields begin: as far behind a multiple of 16 as in memory.
    BlockOf<Near> fields[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      for_fields<C>([&](auto f) {
        constexpr int kField = decltype(f)::kValue;
        constexpr int kSlot = slot_of<C, kColumns>(kField);
        uint32_t shift = 0;
        if (!is_aligned<C>(kField)) {
          const Matrix& m = a.segment[rows.segment[r]].matrix;
          const uint32_t first = static_cast<uint32_t>(rows.row[r] * blocks + begin);
          shift = (static_cast<uint32_t>(reinterpret_cast<uintptr_t>(m.field[kField])) +
                   first * bytes_of<C>(kField)) &
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
    // Lanes whose pieces are 32 bytes apart read the halves of them in turn, for the banks' sake.
    const int flip = lane >> 2 & 1;
    if constexpr (HasPairs<C>) {
#pragma unroll 1
      for (int p = lane; p < count * kUnits / 2; p += 32) {
        const int block = p / (kUnits / 2), within = 2 * (lane % (kUnits / 2));
        Unit one[kRows], two[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const BlockOf<Near> b = block_of(r, block);
          C::unpack(b, within + flip, a.books, &one[r]);
          C::unpack(b, within + 1 - flip, a.books, &two[r]);
        }
        add_pair<C, Order>(one, two, x, begin * kUnits / 2 + p, flip, sum);
      }
    } else if constexpr (HasHalves<C>) {
#pragma unroll 2
      for (int u = lane; u < count; u += 32) {
        const Words4 first = x.words(begin + u, flip), second = x.words(begin + u, 1 - flip);
        const float2 group = x.group[begin + u];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const BlockOf<Near> b = block_of(r, u);
          uint32_t level[8];
          C::levels(b, flip, level);
          C::levels(b, 1 - flip, level + 4);
          const int dot = dot16(level + 4, second, dot16(level, first, 0));
          add_scaled<C>(C::scale(b), 0.0f, dot, group.x, group.y, &sum[r]);
        }
      }
    } else {
#pragma unroll 2
      for (int u = lane; u < count * kUnits; u += 32) {
        const int block = u / kUnits;
        Unit unit[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          C::unpack(block_of(r, block), lane % kUnits, a.books, &unit[r]);
        }
        add_unit<C, Order>(unit, x, begin * kUnits + u, lane % kUnits, sum);
      }
    }
  }
}
template <int kColumns, int kRows, int kStage, typename... C>
__device__ __forceinline__ void add_piece(CodecList<C...>, const OneArgs& a, uint8_t* input,
                                          const JobRows<kRows>& rows, int piece,
                                          const uint8_t* stage, float (&sum)[kRows]) {
  using Order = typename OrderOf<CodecList<C...>>::Type;
  const CodecId id = a.segment[rows.segment[0]].matrix.codec;
  ((sizeof...(C) == 1 || id == C::kId
        ? add_piece<C, Order, kColumns, kRows, kStage>(a, input, rows, piece, stage, sum)
        : void()),
   ...);
}

inline constexpr int kMostStages = 4;
struct StreamSizes {
  int input;   // bytes of the input in shared memory
  int pieces;  // of a row
  int stages;
};

template <typename List, int kColumns, int kRows>
__global__ void __launch_bounds__(Ring<List, kColumns>::kThreads, 2)
    matvec_stream_kernel(const __grid_constant__ OneArgs a, const StreamSizes sizes) {
  extern __shared__ __align__(128) uint8_t stream_memory[];
  using R = Ring<List, kColumns>;
  start_next();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int step = static_cast<int>(gridDim.x) * R::kWarps;
  const bool gated = a.gate != Gate::kNone;
  const int jobs = a.first_block[gated ? 1 : a.segments];
  const int stages = sizes.stages, pieces = sizes.pieces;
  uint8_t* ring = stream_memory + sizes.input + warp * (stages * kRows * R::kStage);
  // Neighbouring jobs go to different processors.
  const int start = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  Cursor ahead{start, 0};
  JobRows<kRows> coming = find_rows<kRows>(a, ahead.job);
  // Asks for the next piece; a group of copies even if there is none.
  const auto fetch = [&](int stage) {
    if (ahead.job < jobs) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        copy_piece<kColumns>(List(), a.segment[coming.segment[r]].matrix, coming.row[r],
                             ahead.piece, a.columns, ring + (stage * kRows + r) * R::kStage);
      }
      if (++ahead.piece == pieces) {
        ahead = {ahead.job + step, 0};
        coming = find_rows<kRows>(a, ahead.job);
      }
    }
    commit_copies();
  };
#pragma unroll 1
  for (int s = 0; s < stages; ++s) fetch(s);
  if constexpr (R::kFloats) {
    take_input<R::kThreads>(a, [&a](int i, bool inside, const float4& v) {
      put_floats(reinterpret_cast<float4*>(stream_memory), a.columns, i, inside, v);
    });
  } else {
    const OneInput x(stream_memory, a.columns);
    take_input<R::kThreads>(a, [&x](int i, bool inside, const float4& v) {
      put_bytes<typename OrderOf<List>::Type>(x, i, inside, v);
    });
  }
  int stage = 0;
#pragma unroll 1
  for (int job = start; job < jobs; job += step) {
    const JobRows<kRows> rows = find_rows<kRows>(a, job);
    float sum[kRows] = {};
#pragma unroll 1
    for (int piece = 0; piece < pieces; ++piece) {
      wait_oldest(stages);
      add_piece<kColumns, kRows, R::kStage>(List(), a, stream_memory, rows, piece,
                                            ring + stage * kRows * R::kStage, sum);
      __syncwarp();
      fetch(stage);
      stage = stage + 1 == stages ? 0 : stage + 1;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] = warp_sum(sum[r]);
    if (gated) {
      const Output &one = a.segment[0].out, &two = a.segment[1].out;
      const int row = rows.row[0];
      float value = sum[0], other = sum[kRows - 1];
      if (one.bias != nullptr) value += one.bias[row];
      if (two.bias != nullptr) other += two.bias[row];
      if (lane == 0) one.y.data[row] = gate(a.gate, value) * other;
      continue;
    }
    const Segment& segment = a.segment[rows.segment[0]];
    const int row = rows.row[0] + lane;
    if (lane < kRows && row < segment.matrix.rows) {
      float value = lane == 0 ? sum[0] : sum[kRows - 1];
      const Output& out = segment.out;
      if (out.bias != nullptr) value += out.bias[row];
      if (out.residual.data != nullptr) value += out.residual.data[row];
      out.y.data[row] = value;
    }
  }
}

template <typename List, int kColumns, int kRows>
void start_stream(Stream& stream, OneArgs& a) {
  using R = Ring<List, kColumns>;
  const auto kernel = matvec_stream_kernel<List, kColumns, kRows>;
  const size_t bytes = R::kFloats ? size_t{4} * a.columns : OneInput::bytes(a.columns);
  const size_t input = (bytes + 127) / 128 * 128;
  const int64_t jobs = a.first_block[a.gate != Gate::kNone ? 1 : a.segments];
  const int64_t pieces = blocks_for(a.columns, kColumns);
  const int64_t blocks = std::min<int64_t>(jobs, stream.processors);
  // A ring is no longer than what a warp does. Two blocks of neighbouring kernels fit a processor
  // together, a long one and a short one; if not even two stages do, a block takes it all. So does
  // one with many bytes for each weight, whose speed is that of the memory.
  const int64_t of_warp = blocks_for(jobs, blocks * R::kWarps) * pieces;
  const size_t stage = size_t{R::kWarps} * kRows * R::kStage;
  const auto all = static_cast<size_t>(stream.shared_memory) - 512;
  const size_t part =
      R::kHeavy ? all : std::min(all, of_warp >= 8 ? size_t{117} << 10 : size_t{107} << 10);
  const int64_t most = std::min<int64_t>(of_warp, kMostStages);
  const auto stages_in = [&](size_t room) {
    const size_t left = room > input ? room - input : 0;
    return std::clamp(static_cast<int64_t>(left / stage), int64_t{0}, most);
  };
  int64_t stages = stages_in(part);
  if (stages < std::min<int64_t>(most, 2)) stages = std::max<int64_t>(stages_in(all), 1);
  prefer_shared_memory(stream, kernel);
  launch(stream, kernel, grid_of(blocks), R::kThreads, input + static_cast<size_t>(stages) * stage,
         a,
         StreamSizes{static_cast<int>(input), static_cast<int>(pieces), static_cast<int>(stages)});
}

// The kernel of the one codec that all matrices have, or of the family. Pieces are about a
// kilobyte.
template <typename List>
struct StreamOf;
template <typename... C>
struct StreamOf<CodecList<C...>> {
  template <typename K, int kColumns>
  static constexpr bool kFits = slot_of<K, kColumns>(fields_of<K>()) <= 1200;
  template <typename K>
  static constexpr int kColumns = IsFloat<K>                                      ? 1024
                                  : kFits<K, 4096>                                ? 4096
                                  : kFits<K, 2048> || HasPairs<K> || HasHalves<K> ? 2048
                                                                                  : 1024;
  static constexpr int kAnyColumns = (IsFloat<C> || ...) ? 512 : 2048;
  template <int kRows>
  static void run(Stream& stream, OneArgs& a) {
    const CodecId id = a.segment[0].matrix.codec;
    bool alike = true;
    for (int s = 1; s < a.segments; ++s) alike = alike && a.segment[s].matrix.codec == id;
    if (!alike) return start_stream<CodecList<C...>, kAnyColumns, kRows>(stream, a);
    ((id == C::kId ? start_stream<CodecList<C>, kColumns<C>, kRows>(stream, a) : void()), ...);
  }
};

template <typename List>
void launch_matvec_stream(Stream& stream, OneArgs& a) {
  const bool gated = a.gate != Gate::kNone;
  int64_t all_rows = 0;
  for (int s = 0; s < a.segments; ++s) all_rows += a.segment[s].matrix.rows;
  // Two rows for a warp cost less than twice one; unless warps are left idle by it.
  const int64_t warps = int64_t{Ring<List, 1024>::kWarps} * stream.processors;
  const auto rounds = [&](int64_t rows) { return blocks_for(blocks_for(all_rows, rows), warps); };
  const int rows = !gated && 5 * rounds(1) <= 8 * rounds(2) ? 1 : 2;
  const int segments = gated ? 1 : a.segments;
  std::fill(std::begin(a.first_block), std::end(a.first_block), std::numeric_limits<int>::max());
  a.first_block[0] = 0;
  for (int s = 0; s < segments; ++s) {
    a.first_block[s + 1] =
        a.first_block[s] + static_cast<int>(blocks_for(a.segment[s].matrix.rows, gated ? 1 : rows));
  }
  rows == 1 ? StreamOf<List>::template run<1>(stream, a)
            : StreamOf<List>::template run<2>(stream, a);
}

}  // namespace pare::cuda

// The ring of pieces of rows that a warp of matvec_stream.cuh reads: how they lie in it, and how
// they come there. For family_*.cu.
#pragma once

#include <utility>

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/one_input.cuh"

namespace pare::cuda {

// A piece of a row lies in a stage of the ring field by field. Copies begin and end at multiples of
// 16: a field of other sizes has up to 15 bytes before it and behind it.
template <typename C>
__host__ __device__ constexpr int fields_of() {
  if constexpr (IsFloat<C>) {
    return 1;
  } else {
    return C::kFieldCount;
  }
}
// A block of floats is eight of them.
template <typename C>
__host__ __device__ constexpr int block_len_of() {
  if constexpr (IsFloat<C>) {
    return 8;
  } else {
    return C::kBlockLen;
  }
}
// Of field f of a block.
template <typename C>
__host__ __device__ constexpr int bytes_of(int f) {
  if constexpr (IsFloat<C>) {
    return 8 * C::kBytes;
  } else {
    return C::field(f).bytes;
  }
}
template <typename C>
__host__ __device__ constexpr bool is_aligned(int f) {
  return bytes_of<C>(f) % 16 == 0;
}
template <typename C, int kColumns>
__host__ __device__ constexpr int slot_of(int field) {
  int at = 0;
  for (int f = 0; f < field; ++f) {
    at += (kColumns / block_len_of<C>() * bytes_of<C>(f) + 15) / 16 * 16 +
          (is_aligned<C>(f) ? 0 : 16);
  }
  return at;
}
// body(f) for each field, f a Constant.
template <int kNumber>
struct Constant {
  static constexpr int kValue = kNumber;
};
template <typename C, typename Body>
__device__ __forceinline__ void for_fields(const Body& body) {
  [&]<int... kField>(std::integer_sequence<int, kField...>) { (body(Constant<kField>()), ...); }
  (std::make_integer_sequence<int, fields_of<C>()>());
}

template <typename List, int kColumns>
struct Ring;
template <typename... C, int kColumns>
struct Ring<CodecList<C...>, kColumns> {
  // Bytes of a stage of one row; the largest of the codecs'.
  static constexpr int kStage = [] {
    int most = 0;
    ((most = slot_of<C, kColumns>(fields_of<C>()) > most ? slot_of<C, kColumns>(fields_of<C>())
                                                         : most),
     ...);
    return most;
  }();
  static constexpr bool kFloats = (IsFloat<C> || ...);
  static constexpr bool kHeavy = kFloats || (sizeof...(C) == 1 && (HasHalves<C> && ...));
  // Half of a processor's registers are enough for a block, so that the next kernel's can be there
  // beside it. Floats take more memory, and fewer warps are enough for them.
  static constexpr int kThreads = kFloats ? 384 : 512, kWarps = kThreads / 32;
};

// What a warp does one after the other: pieces of jobs, a job being kRows rows.
struct Cursor {
  int job, piece;
};

// The rows of a job, and whose they are.
template <int kRows>
struct JobRows {
  int segment[kRows], row[kRows];
};
template <int kRows>
__device__ __forceinline__ JobRows<kRows> find_rows(const OneArgs& a, int job) {
  JobRows<kRows> found;
  const bool gated = a.gate != Gate::kNone;
  int s = 0;
#pragma unroll
  for (int i = 1; i < kMaxSegments; ++i) s += !gated && job >= a.first_block[i] ? 1 : 0;
  const int first = (job - a.first_block[s]) * (gated ? 1 : kRows);
  const int last = static_cast<int>(a.segment[s].matrix.rows) - 1;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    found.segment[r] = gated ? r : s;
    found.row[r] = gated ? first : min(first + r, last);
  }
  return found;
}

// Asks for a piece of a row: all lanes copy 16 bytes at a time.
template <typename C, int kColumns>
__device__ __forceinline__ void copy_piece(const Matrix& m, int row, int piece, int columns,
                                           uint8_t* stage) {
  constexpr int kBlocks = kColumns / block_len_of<C>();
  const int lane = threadIdx.x % 32, blocks = columns / block_len_of<C>();
  const int begin = piece * kBlocks, count = min(kBlocks, blocks - begin);
  const auto first = static_cast<uint32_t>(row * blocks + begin);
  for_fields<C>([&](auto f) {
    constexpr int kField = decltype(f)::kValue, kBytes = bytes_of<C>(kField);
    constexpr int kSlot = slot_of<C, kColumns>(kField);
    constexpr int kMost = kBlocks * kBytes / 16 + (is_aligned<C>(kField) ? 0 : 1);
    const uint8_t* from = m.field[kField] + static_cast<uint64_t>(first) * kBytes;
    int bytes = count * kBytes;
    if (!is_aligned<C>(kField)) {
      const auto before = static_cast<int>(reinterpret_cast<uintptr_t>(from) & 15u);
      from -= before;
      bytes += before;
    }
    from += 16 * lane;
#pragma unroll
    for (int i = 0; i < kMost; i += 32) {
      if (16 * (i + lane) < bytes) copy_async(stage + kSlot + 16 * (i + lane), from + 16 * i);
    }
  });
}
template <int kColumns, typename... C>
__device__ __forceinline__ void copy_piece(CodecList<C...>, const Matrix& m, int row, int piece,
                                           int columns, uint8_t* stage) {
  const CodecId id = m.codec;
  ((sizeof...(C) == 1 || id == C::kId ? copy_piece<C, kColumns>(m, row, piece, columns, stage)
                                      : void()),
   ...);
}
// Until the oldest of `stages` groups of copies is there, for all lanes.
__device__ __forceinline__ void wait_oldest(int stages) {
  asm volatile(
      "{\n"
      ".reg .pred two, three, four, one;\n"
      "setp.eq.s32 two, %0, 2;\n"
      "setp.eq.s32 three, %0, 3;\n"
      "setp.eq.s32 four, %0, 4;\n"
      "setp.lt.s32 one, %0, 2;\n"
      "@one cp.async.wait_group 0;\n"
      "@two cp.async.wait_group 1;\n"
      "@three cp.async.wait_group 2;\n"
      "@four cp.async.wait_group 3;\n"
      "}" ::"r"(stages)
      : "memory");
  __syncwarp();
}

}  // namespace pare::cuda

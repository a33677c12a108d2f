// The ring of pieces of rows that a warp of matvec_stream.cuh reads: how they lie in it, and which
// come next. For family_*.cu.
#pragma once

#include <utility>

#include "kernels/cuda/one_input.cuh"
#include "kernels/cuda/stream_copy.cuh"

namespace pare::cuda {

// A piece of a row lies in a stage of the ring field by field, each with up to 15 bytes before it
// and behind it, since copies begin and end at multiples of 16.
template <typename C>
__host__ __device__ constexpr int fields_of() {
  if constexpr (IsFloat<C>) {
    return 1;
  } else {
    return C::kFieldCount;
  }
}
template <typename C>
__host__ __device__ constexpr int block_len_of() {
  if constexpr (IsFloat<C>) {
    return 1;
  } else {
    return C::kBlockLen;
  }
}
// Of field f of a block.
template <typename C>
__host__ __device__ constexpr int bytes_of(int f) {
  if constexpr (IsFloat<C>) {
    return C::kBytes;
  } else {
    return C::field(f).bytes;
  }
}
template <typename C, int kColumns>
__host__ __device__ constexpr int slot_of(int field) {
  int at = 0;
  for (int f = 0; f < field; ++f) {
    at += (kColumns / block_len_of<C>() * bytes_of<C>(f) + 15) / 16 * 16 + 16;
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
  // Bytes of a stage of one row, and fields; the largest of the codecs'.
  static constexpr int kStage = [] {
    int most = 0;
    ((most = slot_of<C, kColumns>(fields_of<C>()) > most ? slot_of<C, kColumns>(fields_of<C>())
                                                         : most),
     ...);
    return most;
  }();
  static constexpr int kFields = [] {
    int most = 0;
    ((most = fields_of<C>() > most ? fields_of<C>() : most), ...);
    return most;
  }();
  static constexpr bool kFloats = (IsFloat<C> || ...);
};

// What a warp does one after the other: pieces of jobs, a job being kRows rows.
struct Cursor {
  int job, piece;
};

// Which rows a job is; gives the segment.
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

// A field of a piece, as it is copied.
struct FieldCopy {
  uintptr_t from = 0;
  uint32_t bytes = 0;
  int slot = 0;
};
template <typename C, int kColumns>
__device__ __forceinline__ void find_field(const Matrix& m, int row, int piece, int columns,
                                           int field, FieldCopy* copy) {
  constexpr int kBlocks = kColumns / block_len_of<C>();
  const int blocks = columns / block_len_of<C>(), begin = piece * kBlocks;
  const int count = min(kBlocks, blocks - begin);
  int bytes = 0;
  for_fields<C>([&](auto f) {
    constexpr int kField = decltype(f)::kValue;
    constexpr int kBytes = bytes_of<C>(kField), kSlot = slot_of<C, kColumns>(kField);
    if (kField != field) return;
    bytes = kBytes;
    copy->slot = kSlot;
  });
  if (bytes == 0) return;
  const auto at = reinterpret_cast<uintptr_t>(m.field[field]) +
                  (static_cast<int64_t>(row) * blocks + begin) * bytes;
  copy->from = at & ~uintptr_t{15};
  copy->bytes = static_cast<uint32_t>(((at + count * bytes + 15) & ~uintptr_t{15}) - copy->from);
}
template <int kColumns, typename... C>
__device__ __forceinline__ void find_field(CodecList<C...>, const Matrix& m, int row, int piece,
                                           int columns, int field, FieldCopy* copy) {
  ((m.codec == C::kId ? find_field<C, kColumns>(m, row, piece, columns, field, copy) : void()),
   ...);
}

}  // namespace pare::cuda

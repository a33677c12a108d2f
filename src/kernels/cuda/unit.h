// What the device knows of a codec, said once for all its kernels.
//
// A *unit* is 32 columns of a row: two groups of 16 neighbouring columns, chosen so that most
// codecs read each byte once for a unit. A codec's description is a struct with
//
//   kId                       the codec
//   kBlockLen                 columns of a block
//   kFields, kFieldCount      the parts of a block (below)
//   kZero                     what is subtracted from levels; 0 if they are signed
//   kOffsets                  whether offsets are anything but 0
//   column(unit, group)       of the block: where each of the two groups begins
//   unit_of(n), group_of(n)   the other way: of the n-th 16 columns
//   kOneScale                 (if there) a unit is 32 neighbouring columns with one scale
//   levels(block, half, out)  (if there) of a block that is one unit, those of one group
//   unpack(block, unit, books, out)
//
// value[c] = scale[g] * (level[c] - kZero) + offset[g], with c / 16 = g in {0, 1}; levels are
// signed bytes.
//
// On the device a matrix lies field by field: the first field of all its blocks, then the second
// and so on, so that what is read together is aligned and lies together. Sizes stay the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/words.h"
#include "tensor/codec_id.h"

namespace pare::cuda {

inline constexpr int kUnitColumns = 32;
inline constexpr int kGroupColumns = 16;
inline constexpr int kMaxFields = 5;

struct Field {
  int begin, bytes;  // of the packed block
};

// Where the fields of a block lie; P: const uint8_t* or Near (words.h).
template <typename P>
struct BlockOf {
  P field[kMaxFields];
};
using Block = BlockOf<const uint8_t*>;

struct Unit {
  uint32_t level[8];  // four bytes in each; the first four words are group 0
  float scale[2], offset[2];
};

// The codebooks of the I types, entry after entry as bytes.
struct Books {
  const uint8_t *iq1 = nullptr, *iq2_xxs = nullptr, *iq2_xs = nullptr, *iq2_s = nullptr,
                *iq3_xxs = nullptr, *iq3_s = nullptr;
};

// Most codecs: the groups follow each other.
struct PlainColumns {
  static PARE_HD int column(int unit, int group) {
    return unit * kUnitColumns + group * kGroupColumns;
  }
  static PARE_HD int unit_of(int n) { return n >> 1; }
  static PARE_HD int group_of(int n) { return n & 1; }
};
// Bytes hold columns that are 32 apart, in two halves (Q4_K, Q5_K). Units 2 i and 2 i + 1 are 64
// neighbouring columns: the first groups of both are 32 with one scale, and so are the second.
struct NibbleColumns {
  static constexpr bool kPairs = true;
  static PARE_HD int column(int unit, int group) {
    return (unit >> 1) * 64 + (unit & 1) * 16 + group * 32;
  }
  static PARE_HD int unit_of(int n) { return (n >> 2) * 2 + (n & 1); }
  static PARE_HD int group_of(int n) { return n >> 1 & 1; }
};
// The same in four quarters (Q2_K, Q3_K, TQ2_0): byte 32 h + 16 e + i, pairs 2 p and 2 p + 1.
struct PairColumns {
  static PARE_HD int column(int unit, int group) {
    return (unit >> 2) * 128 + (2 * (unit & 1) + group) * 32 + (unit >> 1 & 1) * 16;
  }
  static PARE_HD int unit_of(int n) { return (n >> 3) * 4 + (n >> 2 & 1) + (n & 1) * 2; }
  static PARE_HD int group_of(int n) { return n >> 1 & 1; }
};

template <typename C>
PARE_HD Block block_at(const uint8_t* const* base, int64_t index) {
  Block block{};
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int f = 0; f < C::kFieldCount; ++f) block.field[f] = base[f] + index * C::field(f).bytes;
  return block;
}

// Level i of a unit as an integer.
PARE_HD int level_at(const Unit& unit, int i) {
  return static_cast<int8_t>(unit.level[i >> 2] >> (8 * (i & 3)) & 255u);
}

}  // namespace pare::cuda

// The 16 x 16 tile that the K-quant encoders work on.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/half.h"
#include "codecs/kquant.h"

namespace pare::kquant {

constexpr size_t kLanes = 16;

// x[16 i + lane] is column 16 lane + i, scaled by 2^-exponent so that the largest magnitude is
// near 1; w likewise, the largest near 1. The scaling is exact but for values far below the
// largest.
struct Tile {
  alignas(64) float x[kLanes * kLanes];
  alignas(64) float w[kLanes * kLanes];
  int exponent = 0;
};

// A number for each lane.
struct alignas(64) LaneValues {
  float v[kLanes];

  // Their sum; always the same tree, so that it does not depend on the vector width.
  float sum() const {
    float part[kLanes / 2];
    for (size_t i = 0; i < 8; ++i) part[i] = v[i] + v[i + 8];
    for (size_t i = 0; i < 4; ++i) part[i] += part[i + 4];
    return (part[0] + part[2]) + (part[1] + part[3]);
  }
};

// The range of the 16 levels of kTable cut into 32 cells of width 8, the first from -128. At most
// one border between levels lies in a cell, so the level at its begin, the level at the next
// one's begin and their middle say all.
struct Cells {
  alignas(64) float level[48] = {};  // beyond 32: the highest level
  alignas(64) int8_t bytes[32] = {};
  alignas(64) int32_t index[32] = {};
};

constexpr Cells make_cells() {
  Cells cells;
  for (int cell = 0; cell < 48; ++cell) {
    const int begin = 8 * cell - 128;
    size_t i = 0;
    while (i < 15 && kTable[i] + kTable[i + 1] < 2 * begin) ++i;
    cells.level[cell] = static_cast<float>(kTable[i]);
    if (cell >= 32) continue;
    cells.bytes[cell] = kTable[i];
    cells.index[cell] = static_cast<int32_t>(i);
  }
  return cells;
}
inline constexpr Cells kCells = make_cells();

// The exponent e of v = m 2^e, 1 <= m < 2, kept where 2^e and 2^-e are normal floats.
inline int exponent_of(float v) {
  return std::clamp(static_cast<int>(std::bit_cast<uint32_t>(v) >> 23) - 127, -126, 126);
}

inline float power_of_two(int e) {
  return std::bit_cast<float>(static_cast<uint32_t>(e + 127) << 23);
}

// v, in the tile's units, as the nearest finite f16 in the caller's units; never -0, whose sign
// SIMD targets do not agree on.
inline float to_stored(const Tile& tile, float v) {
  const float scaled = std::clamp(v * power_of_two(tile.exponent), -65504.0f, 65504.0f);
  return fp16_to_float(float_to_fp16(scaled)) + 0.0f;
}

// A stored value in the tile's units.
inline float from_stored(const Tile& tile, float stored) {
  return stored * power_of_two(-tile.exponent);
}

}  // namespace pare::kquant

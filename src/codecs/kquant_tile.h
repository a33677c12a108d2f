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

// The table of 16 levels cut into 32 cells of width 8, the first from -128. At most one border
// between levels lies in a cell.
struct Cells {
  alignas(64) float border[32];
  alignas(64) float below[32];  // the level of values in this cell up to the border
  alignas(64) float above[32];
  alignas(64) float index_below[32];
  alignas(64) float index_above[32];
};

constexpr Cells make_cells() {
  Cells cells{};
  for (int cell = 0; cell < 32; ++cell) {
    const float begin = 8.0f * static_cast<float>(cell) - 128.0f;
    const auto border = [](int i) { return 0.5f * static_cast<float>(kTable[i] + kTable[i + 1]); };
    int i = 0;
    while (i < 15 && border(i) < begin) ++i;
    const bool inside = i < 15 && border(i) < begin + 8.0f;
    cells.border[cell] = inside ? border(i) : 1000.0f;
    cells.below[cell] = static_cast<float>(kTable[i]);
    cells.index_below[cell] = static_cast<float>(i);
    cells.above[cell] = static_cast<float>(kTable[inside ? i + 1 : i]);
    cells.index_above[cell] = static_cast<float>(inside ? i + 1 : i);
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

// v, in the tile's units, as the nearest finite f16 in the caller's units.
inline float to_stored(const Tile& tile, float v) {
  const float scaled = std::clamp(v * power_of_two(tile.exponent), -65504.0f, 65504.0f);
  return fp16_to_float(float_to_fp16(scaled));
}

// A stored value in the tile's units.
inline float from_stored(const Tile& tile, float stored) {
  return stored * power_of_two(-tile.exponent);
}

}  // namespace pare::kquant

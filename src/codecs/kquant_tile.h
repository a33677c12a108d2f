// The 16 x 16 tile that the K-quant encoders work on.
#pragma once

#include <cstddef>

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
  bool all_zero = false;
};

// Per lane, a number: 16 floats, one for each run of 16 columns.
struct alignas(64) LaneValues {
  float v[kLanes];
  // Their sum, in lane order.
  float sum() const {
    float total = 0.0f;
    for (float f : v) total += f;
    return total;
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

// The first n columns (n a multiple of 16) from x and importance (null: ones); the rest are zero.
void load_tile(const float* x, const float* importance, int n, Tile* tile);

// v, in the tile's units, as the nearest f16 (finite: at most 65504) in the caller's units.
float to_stored(const Tile& tile, float v);
// A stored value in the tile's units.
float from_stored(const Tile& tile, float stored);

}  // namespace pare::kquant

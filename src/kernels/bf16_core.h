// Products of bfloat16 with sums in float, on CPUs that multiply whole tiles of them (AMX): so
// fast that weights are turned into bfloat16 first, whatever their codec, and truer than
// activations of 8 bits.
//
// A float is kept in one part, the nearest bfloat16 (8 bits), or in more: the next is the one
// nearest to what is left. Two hold a binary16 number, three a float. Parts
// i and j are multiplied where i + j is less than the parts of the longer side.
#pragma once

#include <cstdint>

#include "kernels/planar.h"

namespace pare {

// Weights: w[columns / 32][16 rows][32] of each 16 rows of a block of columns, `tile_stride`
// numbers apart. Rows that are not there are read, and may be anything.
struct Bf16Panel {
  const uint16_t* w;
  int64_t rows, tile_stride, part_stride;
  int parts;

  // Where a row begins, its next 32 columns kStep numbers further on.
  static constexpr int64_t kStep = 16 * 32;
  static int64_t row(int64_t r, int64_t tile_stride) { return r / 16 * tile_stride + r % 16 * 32; }
};

// Activations of a block of columns: x[columns / 32][16 pairs of columns][16 tokens][2] of each 16
// tokens, `tile_stride` numbers apart. Tokens and columns that are not there are zeros.
struct Bf16Tiles {
  const uint16_t* x;
  int64_t tokens, tile_stride, part_stride;
  int parts;
};

struct Bf16Core {
  static constexpr int64_t kRows = 16, kTokens = 16, kColumns = 32;  // of a tile

  // A row of weights, a multiple of 32 columns, in one part. Here and below, 32 columns begin
  // `step` numbers after the 32 before.
  void (*from_planar)(const PlanarForm&, const PlanarPiece&, int64_t columns, uint16_t* out,
                      int64_t step);
  // A row of floats in `parts` parts, `part_stride` numbers apart; zeros up to a multiple of 32
  // columns.
  void (*from_floats)(const float* in, int64_t columns, int parts, uint16_t* out, int64_t step,
                      int64_t part_stride);
  // 16 rows of tokens, a multiple of 32 columns, as a tile of Bf16Tiles.
  void (*interleave)(const uint16_t* rows, int64_t stride, int64_t columns, uint16_t* out);

  // 16 tokens' floats that lie in columns, x[columns][stride] with a multiple of 32 columns, as
  // such a tile in `parts` parts.
  void (*interleave_columns)(const float* x, int64_t stride, int64_t columns, int parts,
                             uint16_t* out, int64_t part_stride);

  // sums (+)= w x, `columns` a multiple of 32; added to unless `first`. They lie in tiles:
  // [tokens / 16][panel rows / 16][16 rows][16 tokens], both counts rounded up.
  void (*multiply)(const Bf16Panel& w, const Bf16Tiles& x, int64_t columns, bool first,
                   float* sums);
  // y[t * y_stride + r] = a sum + bias[r], bias: rows floats, or null.
  void (*finish)(const float* sums, int64_t rows, int64_t tokens, const float* bias, float* y,
                 int64_t y_stride);
};

}  // namespace pare

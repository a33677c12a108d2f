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

// Tiles are 16 rows (weights) or 16 tokens of 32 columns. Two tiles that are multiplied together
// lie together: [rows or tokens / 32][columns / 32][2 tiles][512 numbers].
struct Bf16Layout {
  static constexpr int64_t kTile = 16 * 32;
  static constexpr int64_t kStep = 2 * kTile;  // from 32 columns to the next
  // Numbers of 32 rows or tokens.
  static constexpr int64_t pair_stride(int64_t columns) { return 32 * columns; }
  // Where tile i begins.
  static constexpr int64_t tile(int64_t i, int64_t pair_stride) {
    return i / 2 * pair_stride + i % 2 * kTile;
  }
};

// Weights: tiles are [16 rows][32 columns]. Rows that are not there are read, and may be anything.
struct Bf16Panel {
  const uint16_t* w;
  int64_t rows, pair_stride, part_stride;
  int parts;

  // Where a row begins, its next 32 columns Bf16Layout::kStep numbers further on.
  static int64_t row(int64_t r, int64_t pair_stride) {
    return Bf16Layout::tile(r / 16, pair_stride) + r % 16 * 32;
  }
};

// Activations: tiles are [16 pairs of columns][16 tokens][2]. Tokens and columns that are not there
// are zeros.
struct Bf16Tiles {
  const uint16_t* x;
  int64_t tokens, pair_stride, part_stride;
  int parts;
  bool more = false;  // 32 tokens come next: asked for meanwhile
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
  // 16 rows of tokens, a multiple of 32 columns, as tiles of Bf16Tiles; `out`: the first.
  void (*interleave)(const uint16_t* rows, int64_t stride, int64_t columns, uint16_t* out);

  // 16 tokens' floats that lie in columns, x[columns][stride] with a multiple of 32 columns, as
  // such tiles in `parts` parts.
  void (*interleave_columns)(const float* x, int64_t stride, int64_t columns, int parts,
                             uint16_t* out, int64_t part_stride);

  // sums (+)= w x, `columns` a multiple of 32; added to unless `first`. They lie in tiles:
  // [tokens / 16][panel rows / 16][16 rows][16 tokens], both counts rounded up.
  void (*multiply)(const Bf16Panel& w, const Bf16Tiles& x, int64_t columns, bool first,
                   float* sums);
  // y[t * y_stride + r] = a sum + bias[r], bias: rows floats, or null. Sums of 16 tokens begin
  // `stride` numbers after those of the 16 before.
  void (*finish)(const float* sums, int64_t stride, int64_t rows, int64_t tokens, const float* bias,
                 float* y, int64_t y_stride);
};

}  // namespace pare

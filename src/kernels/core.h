// Cores: what a CPU level multiplies planar rows and float rows with. A core is a handful of
// functions; codecs and cores meet only in the planar form.
//
// Quantized activations are signed bytes in groups of 32 columns: x = scale * q. Rows are for few
// tokens, tiles for many.
#pragma once

#include <cstdint>

#include "kernels/bf16_core.h"
#include "kernels/cpu.h"
#include "kernels/planar.h"

namespace pare {

// Quantized activations of tokens, one row each, beginning at some multiple of 512 columns. Rows
// are padded with zeros to a multiple of 512 columns.
struct Int8Rows {
  const int8_t* q;     // in order, or halved (Dot::halved)
  const float* scale;  // per 32 columns
  const float* scale16;
  const float* sum;  // scale * (the sum of a group's q), per 32 columns
  const float* sum16;
  int64_t stride;  // columns from a token to the next

  Int8Rows from(int64_t token) const {
    const int64_t columns = token * stride;
    return {q + columns,        scale + columns / 32, scale16 + columns / 16,
            sum + columns / 32, sum16 + columns / 16, stride};
  }
};

// Quantized activations of Core::tile_tokens tokens, interleaved, beginning at some multiple of 32
// columns: q[columns / 4][tokens][4], the others [columns / len][tokens]. Tokens that are not
// there are zeros. Wide tiles have 16-bit integers, of which kWideMost is the largest, in
// [columns / 2][tokens][2]: kernels that multiply 16 bits anyway have truer activations for
// nothing.
struct QuantizedTile {
  const int8_t* q;
  const float* scale;    // per 32 columns
  const int32_t* start;  // (bias - zero) * (sum of q) per scale_len columns of the weight's form
  const float* sum;      // scale * (sum of q) per offset_len columns; null without offsets
};

// Core::panel_rows rows of a piece, interleaved: level[columns / 4][rows][4],
// scale[columns / scale_len][rows], offset[columns / offset_len][rows].
struct Panel {
  uint8_t* level;
  float* scale;
  float* offset;
};

// A piece of a row of float weights, quantized as wide tiles are: columns are a multiple of 32.
struct WidePiece {
  static constexpr int kColumns = 1024;
  alignas(64) int16_t level[kColumns];
  alignas(64) float scale[kColumns / 32];
};

// Of so many tokens each gets what it gets alone, bit for bit, from products and from attention:
// drafts are checked with no more. So few are multiplied by rows, whose sums have one order.
inline constexpr int64_t kAlikeTokens = 8;
// Up to so many are multiplied by rows even where there are tiles of bfloat16, of 16 tokens each.
inline constexpr int64_t kFewBesideBf16 = 16;
// With so many, making panels of floats takes longer than they save (but for tiles of bfloat16).
inline constexpr int64_t kFewFloatTokens = 48;

struct Core {
  CpuLevel level;
  int panel_rows;
  int tile_tokens;
  int panel_columns;  // at most kPieceColumns: they and a tile share the first-level cache

  // sums[t] += the product of a piece of a row with token t. Levels behind `columns`, up to a
  // multiple of 64, may be anything; scales and offsets, up to a multiple of 16, are zeros.
  using Few = void (*)(const PlanarForm&, const PlanarPiece&, int64_t columns, const Int8Rows&,
                       int64_t tokens, float* sums);
  Few (*few)(const PlanarForm&);

  // Panels hold level - bias(form).
  int (*bias)(const PlanarForm&);
  // Whether weights of a form are multiplied with wide tiles; null: never.
  bool (*wide)(const PlanarForm&) = nullptr;
  // Interleaves panel_rows pieces.
  void (*interleave)(const PlanarForm&, const PlanarPiece* rows, int64_t columns, const Panel& out);
  // y[t * y_stride + r] (+)= the product of row r of the panel with token t of the tile, r < rows.
  // y is added to unless `first`, then to bias (panel_rows floats, or null).
  struct Output {
    float* y;
    int64_t y_stride;
    int64_t rows;
    bool first;
    const float* bias;
  };
  using Many = void (*)(const Panel&, int64_t columns, const QuantizedTile&, int64_t tokens,
                        const Output&);
  Many (*many)(const PlanarForm&);

  // The same for float weights: tiles are x[columns][tile_tokens], panels w[columns][panel_rows].
  void (*interleave_floats)(const float* rows, int64_t row_stride, int64_t columns, float* out);
  void (*many_floats)(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                      const Output&);

  // Takes their place for floats of up to 11 bits (F16, BF16) on CPUs that multiply 16-bit integers
  // faster than floats: rows of 16-bit integers in groups of 32 columns, as wide tiles. Panels have
  // them for levels, [columns / 2][rows][2]. Null: they do not.
  void (*interleave_wide)(const WidePiece* rows, int64_t columns, const Panel& out) = nullptr;
  Many many_wide = nullptr;

  // Takes the place of panels and tiles where it is there.
  const Bf16Core* bf16 = nullptr;
};

// The core of a level.
const Core& core(CpuLevel level);

// What core.cpp chooses from.
const Core& ref_core();
const Core& avx512_core();
const Core& amx_core();
const Core& avx_vnni_core();
const Core& avx_vnni_evex_core();
const Core& avx2_core();
const Core& neon_core();

}  // namespace pare

// The left-hand side of matrix products: the floats of some tokens, and the forms that kernels
// read, made when first asked for. Weights that read the same activations share the work.
#pragma once

#include <cstdint>

#include "base/threads.h"
#include "kernels/activation_tiles.h"
#include "kernels/aligned.h"
#include "kernels/core.h"

namespace pare {

class Activations {
 public:
  // whole: float weights of every type meet them as floats, even where 16-bit integers are faster.
  explicit Activations(bool whole = false) : whole_(whole) {}
  bool whole() const { return whole_; }

  // Looks at x[t * stride + c], 0 <= t < tokens, 0 <= c < columns, until the next call; forgets
  // the forms made of what it looked at before (their memory is kept for reuse).
  void assign(const float* x, int64_t tokens, int64_t columns, int64_t stride);

  const float* row(int64_t token) const { return rows_.row(token); }
  int64_t tokens() const { return rows_.tokens; }
  int64_t columns() const { return rows_.columns; }
  int64_t stride() const { return rows_.stride; }

  // What kernels ask for. Not thread safe; the views live until the next assign(), or until a
  // form is asked for that differs in kind (another core, another form of weights).
  //
  // Quantized rows of all tokens, from column 0; halved as Dot says. Columns are a multiple of 32.
  Int8Rows int8_rows(int halved, ThreadPool& pool);

  // Quantized tiles for weights of a form; wide where the core wants them so.
  QuantizedTiles quantized_tiles(const Core& core, const PlanarForm& form, ThreadPool& pool);
  // Wide ones for weights of 16-bit integers in groups of 32 (Core::many_wide).
  QuantizedTiles wide_tiles(const Core& core, ThreadPool& pool);

  // Tiles of floats: [tiles][columns][core.tile_tokens].
  const float* float_tiles(const Core& core, ThreadPool& pool);

  // In bfloat16 of one part or more, from any multiple of 32 tokens and columns.
  class Bf16View {
   public:
    Bf16Tiles at(int64_t token, int64_t tokens, int64_t column) const;

   private:
    friend class Activations;
    Bf16Tiles all_;
  };
  Bf16View bf16_tiles(const Bf16Core& core, int parts, ThreadPool& pool);

 private:
  bool whole_;
  FloatRows rows_ = {};

  void make_rows(int64_t padded, ThreadPool& pool);

  bool has_rows_ = false;
  int halved_ = 0;  // what row_halved_ is, or 0
  AlignedBuffer<int8_t> row_q_, row_halved_;
  AlignedBuffer<float> row_scale_, row_scale16_, row_sum_, row_sum16_;

  TileMaker<int8_t> byte_tiles_;
  TileMaker<int16_t> wide_tiles_;
  int64_t float_tile_ = 0;  // tokens of the tiles of floats that were made, or 0
  AlignedBuffer<float> tile_x_;
  int bf16_parts_ = 0;  // that were made
  AlignedBuffer<uint16_t> tile_bf16_;
};

}  // namespace pare

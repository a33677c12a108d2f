// The left-hand side of matrix products: the floats of some tokens, and the forms that kernels
// read, made when first asked for. Weights that read the same activations share the work.
#pragma once

#include <cstdint>

#include "base/threads.h"
#include "kernels/aligned.h"
#include "kernels/core.h"

namespace pare {

class Activations {
 public:
  // Looks at x[t * stride + c], 0 <= t < tokens, 0 <= c < columns, until the next call; forgets
  // the forms made of what it looked at before (their memory is kept for reuse).
  void assign(const float* x, int64_t tokens, int64_t columns, int64_t stride);

  const float* row(int64_t token) const { return x_ + token * stride_; }
  int64_t tokens() const { return tokens_; }
  int64_t columns() const { return columns_; }
  int64_t stride() const { return stride_; }

  // What kernels ask for. Not thread safe; the views live until the next assign(), or until a
  // form is asked for that differs in kind (another core, another form of weights).
  //
  // Quantized rows of all tokens, from column 0. Columns are a multiple of 32.
  Int8Rows int8_rows(ThreadPool& pool);

  // Quantized tiles, tile after tile; token t is in tile t / core.tile_tokens.
  class Int8Tiles {
   public:
    // From a column, a multiple of 32.
    Int8Tile at(int64_t tile, int64_t column) const;

   private:
    friend class Activations;
    Int8Tile first_;
    int64_t columns_, tokens_, q_bytes_, scale_len_, offset_len_;
  };
  Int8Tiles int8_tiles(const Core& core, const PlanarForm& form, ThreadPool& pool);

  // Tiles of floats: [tiles][columns][core.tile_tokens].
  const float* float_tiles(const Core& core, ThreadPool& pool);

  // In bfloat16 of one part or two, from any multiple of Bf16Core::kTokens tokens and kColumns
  // columns.
  class Bf16View {
   public:
    Bf16Tiles at(int64_t token, int64_t tokens, int64_t column) const;

   private:
    friend class Activations;
    Bf16Tiles all_;
  };
  Bf16View bf16_tiles(const Bf16Core& core, int parts, ThreadPool& pool);

 private:
  int64_t tiles(int64_t tile_tokens) const { return (tokens_ + tile_tokens - 1) / tile_tokens; }
  void make_tiles(const Core& core, ThreadPool& pool);
  const int8_t* wide_tiles(int64_t tile_tokens, ThreadPool& pool);
  void make_starts(int64_t len, int factor, int64_t tile_tokens, ThreadPool& pool);
  const float* tile_sums(int64_t len, int64_t tile_tokens, ThreadPool& pool);

  const float* x_ = nullptr;
  int64_t tokens_ = 0, columns_ = 0, stride_ = 0;

  bool has_rows_ = false;
  AlignedBuffer<int8_t> row_q_;
  AlignedBuffer<float> row_scale_, row_scale16_, row_sum_, row_sum16_;

  // Tokens of the tiles that were made, or 0.
  int64_t int8_tile_ = 0, float_tile_ = 0;
  AlignedBuffer<int8_t> tile_q_;
  bool has_wide_ = false;
  AlignedBuffer<int16_t> tile_wide_;
  AlignedBuffer<float> tile_scale_;
  AlignedBuffer<int32_t> tile_half_sums_;  // of q, [tiles][columns / 16][tokens]
  // Starts of one form of weights; which, or 0.
  int64_t start_len_ = 0;
  int start_factor_ = 0;
  AlignedBuffer<int32_t> tile_start_;
  bool has_tile_sum_ = false, has_tile_sum16_ = false;
  AlignedBuffer<float> tile_sum_, tile_sum16_;
  AlignedBuffer<float> tile_x_;
  int bf16_parts_ = 0;  // that were made
  AlignedBuffer<uint16_t> tile_bf16_;
};

}  // namespace pare

// Quantized activations in tiles (core.h): bytes, or 16-bit integers for weights of more bits than
// a core can multiply with bytes. Made when first asked for.
#pragma once

#include <cstdint>

#include "base/threads.h"
#include "kernels/aligned.h"
#include "kernels/core.h"

namespace pare {

// Floats of tokens: x[t * stride + c].
struct FloatRows {
  const float* x;
  int64_t tokens, columns, stride;

  const float* row(int64_t token) const { return x + token * stride; }
  int64_t tiles(int64_t tile_tokens) const { return (tokens + tile_tokens - 1) / tile_tokens; }
};

// Tile after tile; token t is in tile t / core.tile_tokens.
class QuantizedTiles {
 public:
  // From a column, a multiple of 32.
  QuantizedTile at(int64_t tile, int64_t column) const;

 private:
  template <class T>
  friend class TileMaker;
  QuantizedTile first_;
  int64_t columns_, tokens_, q_bytes_, scale_len_, offset_len_;
};

// T: int8_t or int16_t. Tiles live until forget(), or until those of another core are asked for.
template <class T>
class TileMaker {
 public:
  void forget() { tile_tokens_ = 0; }

  // For weights with these lengths of groups (offset_len 0: no offsets), whose starts are `factor`
  // times the sums of q. Tiles have columns up to a multiple of 32, zeros beyond those that are
  // there.
  QuantizedTiles make(const FloatRows& rows, int64_t tile_tokens, int scale_len, int offset_len,
                      int factor, ThreadPool& pool);

 private:
  void make_q(const FloatRows& rows, ThreadPool& pool);
  // out: make(sum of q, scale) of each `len` columns, [tiles][columns / len][tokens].
  template <class Value, class Make>
  void of_group_sums(int64_t len, AlignedBuffer<Value>* out, ThreadPool& pool, const Make& make);
  void make_starts(int64_t len, int factor, ThreadPool& pool);
  const float* sums(int64_t len, ThreadPool& pool);

  int64_t tile_tokens_ = 0;  // of the tiles that were made, or 0
  int64_t tiles_ = 0, columns_ = 0;
  AlignedBuffer<int8_t> q_;  // 4-byte words, [tiles][words][tokens]
  AlignedBuffer<float> scale_;
  AlignedBuffer<int32_t> half_sums_;  // of q, [tiles][columns / 16][tokens]
  // Starts of one form of weights; which, or 0.
  int64_t start_len_ = 0;
  int start_factor_ = 0;
  AlignedBuffer<int32_t> start_;
  bool has_sum_ = false, has_sum16_ = false;
  AlignedBuffer<float> sum_, sum16_;
};

}  // namespace pare

// The planar row: what every quantized codec says of a weight, in one form.
//
//   value = scale[c / scale_len] * (level[c] - zero) + offset[c / offset_len]
//
// An unpacker turns packed bytes into it, a piece of a row at a time, small enough for the
// first-level cache; cores multiply it with quantized activations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/codec_id.h"

namespace pare {

// Columns of a piece: a whole number of blocks of every codec.
inline constexpr int kPieceColumns = 2048;

struct PlanarForm {
  int scale_len;   // 16 or 32; codecs with longer groups repeat their scale
  int offset_len;  // 16 or 32, or 0: no offsets
  int zero;        // the level that stands for the offset itself
  int max_level;   // levels are 0 .. max_level <= 255
};

struct PlanarPiece {
  alignas(64) uint8_t level[kPieceColumns];
  alignas(64) float scale[kPieceColumns / 16];
  alignas(64) float offset[kPieceColumns / 16];
};

struct Unpacker {
  const char* name;  // of the family, for `inspect --devices`
  CodecId codec;
  PlanarForm form;
  // Unpacks `columns` columns, a positive multiple of the codec's block and at most
  // kPieceColumns. What lies behind them may change. May read no byte but the blocks'.
  void (*unpack)(const std::byte* in, int64_t columns, PlanarPiece* out);
};

}  // namespace pare

// How keys and values lie in the cache, in one of its forms: F32, F16, Q8_0 or Q4_0, with the
// numbers that the codec of that name gives.
//
// Keys lie in tiles of kKeyTile positions, turned over: a row of a tile is one column of the
// head at all positions of the tile, so that products with a query add up without sums across
// a vector. Quantized tiles end with the scales (f16, [head_dim / 32][kKeyTile]); in Q4_0 a byte
// holds columns 2i (low) and 2i + 1. A tile has the bytes of kKeyTile rows of the codec.
// Values lie row after row as the codec has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/codec_id.h"

namespace pare {

inline constexpr int64_t kKeyTile = 16;

// The forms, and what the extents of a head must divide by.
std::span<const CodecId> kv_forms();
bool is_kv_form(CodecId form);

// Puts the key of one position, `dim` floats, at place `slot` of its tile.
void store_key(CodecId form, const float* key, int64_t dim, int64_t slot, std::byte* tile);
void store_value(CodecId form, const float* value, int64_t dim, std::byte* row);

// out[c * stride + i] = column c of position i of the tile, for c < dim and i < kKeyTile.
void load_key_tile(CodecId form, const std::byte* tile, int64_t dim, float* out, int64_t stride);
// out[c] = column c of the row, for c < dim.
void load_value_row(CodecId form, const std::byte* row, int64_t dim, float* out);

}  // namespace pare

#include "kernels/activations.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize.h"

namespace pare {
namespace {

constexpr int64_t kRowPadding = 512;  // columns, as Int8Rows promises

// One token is not worth waking threads for.
void for_each(ThreadPool& pool, int64_t count, const std::function<void(size_t)>& body) {
  if (count == 1) return body(0);
  pool.parallel_for(static_cast<size_t>(count), body);
}

size_t size(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

void Activations::assign(const float* x, int64_t tokens, int64_t columns, int64_t stride) {
  rows_ = {x, tokens, columns, stride};
  has_rows_ = false;
  halved_ = 0;
  byte_tiles_.forget();
  wide_tiles_.forget();
  float_tile_ = 0;
  bf16_parts_ = 0;
}

void Activations::make_rows(int64_t padded, ThreadPool& pool) {
  int8_t* all_q = row_q_.reserve(size(tokens() * padded));
  float* all_scale = row_scale_.reserve(size(tokens() * padded / 32));
  float* all_scale16 = row_scale16_.reserve(size(tokens() * padded / 16));
  float* all_sum = row_sum_.reserve(size(tokens() * padded / 32));
  float* all_sum16 = row_sum16_.reserve(size(tokens() * padded / 16));
  const QuantizeRow<int8_t> quantize = quantize_row<int8_t>(cpu_level());
  for_each(pool, tokens(), [&](size_t token) {
    const auto t = static_cast<int64_t>(token);
    int8_t* q = all_q + t * padded;
    float* scale = all_scale + t * padded / 32;
    float* scale16 = all_scale16 + t * padded / 16;
    float* sum = all_sum + t * padded / 32;
    float* sum16 = all_sum16 + t * padded / 16;
    thread_local AlignedBuffer<int32_t> buffer;
    int32_t* half_sums = buffer.reserve(size(padded / 16));
    quantize(row(t), columns(), q, scale, half_sums);
    std::fill(q + columns(), q + padded, int8_t{0});
    std::fill(scale + columns() / 32, scale + padded / 32, 0.0f);
    std::fill(half_sums + columns() / 16, half_sums + padded / 16, 0);
    for (int64_t g = 0; g < padded / 32; ++g) {
      scale16[2 * g] = scale16[2 * g + 1] = scale[g];
      sum16[2 * g] = scale[g] * static_cast<float>(half_sums[2 * g]);
      sum16[2 * g + 1] = scale[g] * static_cast<float>(half_sums[2 * g + 1]);
      sum[g] = scale[g] * static_cast<float>(half_sums[2 * g] + half_sums[2 * g + 1]);
    }
  });
}

Int8Rows Activations::int8_rows(int halved, ThreadPool& pool) {
  const int64_t padded = (columns() + kRowPadding - 1) / kRowPadding * kRowPadding;
  if (!has_rows_) make_rows(padded, pool);
  has_rows_ = true;
  if (halved_ != halved && halved != 0) {
    const int8_t* q = row_q_.data();
    int8_t* out = row_halved_.reserve(size(tokens() * padded));
    for (int64_t c = 0; c < tokens() * padded; c += halved) {
      for (const int64_t half : {0, 16}) {
        for (int64_t i = half; i < halved; i += 32) out = std::copy_n(q + c + i, 16, out);
      }
    }
    halved_ = halved;
  }
  return {halved != 0 ? row_halved_.data() : row_q_.data(),
          row_scale_.data(),
          row_scale16_.data(),
          row_sum_.data(),
          row_sum16_.data(),
          padded};
}

QuantizedTiles Activations::quantized_tiles(const Core& core, const PlanarForm& form,
                                            ThreadPool& pool) {
  const int factor = core.bias(form) - form.zero;
  const auto make = [&](auto& maker) {
    return maker.make(rows_, core.tile_tokens, form.scale_len, form.offset_len, factor, pool);
  };
  return core.wide != nullptr && core.wide(form) ? make(wide_tiles_) : make(byte_tiles_);
}

QuantizedTiles Activations::wide_tiles(const Core& core, ThreadPool& pool) {
  return wide_tiles_.make(rows_, core.tile_tokens, 32, 0, 0, pool);
}

const float* Activations::float_tiles(const Core& core, ThreadPool& pool) {
  const int64_t n = core.tile_tokens;
  if (float_tile_ == n) return tile_x_.data();
  float* all = tile_x_.reserve(size(rows_.tiles(n) * n * columns()));
  for_each(pool, rows_.tiles(n), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    float* out = all + tile * n * columns();
    for (int64_t i = 0; i < n; ++i) {
      const int64_t t = tile * n + i;
      for (int64_t c = 0; c < columns(); ++c) out[c * n + i] = t < tokens() ? row(t)[c] : 0.0f;
    }
  });
  float_tile_ = n;
  return all;
}

Bf16Tiles Activations::Bf16View::at(int64_t token, int64_t tokens, int64_t column) const {
  Bf16Tiles tiles = all_;
  tiles.x += Bf16Layout::tile(token / Bf16Core::kTokens, tiles.pair_stride) +
             column / Bf16Core::kColumns * Bf16Layout::kStep;
  tiles.tokens = tokens;
  tiles.more = token + tokens < all_.tokens;
  return tiles;
}

Activations::Bf16View Activations::bf16_tiles(const Bf16Core& core, int parts, ThreadPool& pool) {
  constexpr int64_t kTokens = Bf16Core::kTokens, kColumns = Bf16Core::kColumns;
  const int64_t columns = (rows_.columns + kColumns - 1) / kColumns * kColumns;
  const int64_t count = rows_.tiles(2 * kTokens) * 2, tile_size = kTokens * columns;
  const int64_t pair_stride = Bf16Layout::pair_stride(columns), part_stride = count * tile_size;
  uint16_t* all = tile_bf16_.reserve(size(parts * part_stride));
  if (bf16_parts_ < parts) {
    for_each(pool, count, [&](size_t index) {
      const auto tile = static_cast<int64_t>(index);
      thread_local AlignedBuffer<uint16_t> buffer;
      uint16_t* rows = buffer.reserve(size(parts * tile_size));
      for (int64_t i = 0; i < kTokens; ++i) {
        uint16_t* out = rows + i * columns;
        if (const int64_t t = tile * kTokens + i; t < tokens()) {
          core.from_floats(row(t), rows_.columns, parts, out, kColumns, tile_size);
        } else {
          for (int p = 0; p < parts; ++p) {
            std::fill_n(out + p * tile_size, columns, uint16_t{0});
          }
        }
      }
      for (int p = 0; p < parts; ++p) {
        core.interleave(rows + p * tile_size, columns, columns,
                        all + p * part_stride + Bf16Layout::tile(tile, pair_stride));
      }
    });
    bf16_parts_ = parts;
  }
  Bf16View view;
  view.all_ = {all, tokens(), pair_stride, part_stride, parts};
  return view;
}

}  // namespace pare

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
  x_ = x;
  tokens_ = tokens;
  columns_ = columns;
  stride_ = stride;
  has_rows_ = has_tile_sum_ = has_tile_sum16_ = false;
  int8_tile_ = float_tile_ = start_len_ = 0;
  bf16_parts_ = 0;
}

Int8Rows Activations::int8_rows(ThreadPool& pool) {
  const int64_t padded = (columns_ + kRowPadding - 1) / kRowPadding * kRowPadding;
  if (!has_rows_) {
    int8_t* all_q = row_q_.reserve(size(tokens_ * padded));
    float* all_scale = row_scale_.reserve(size(tokens_ * padded / 32));
    float* all_scale16 = row_scale16_.reserve(size(tokens_ * padded / 16));
    float* all_sum = row_sum_.reserve(size(tokens_ * padded / 32));
    float* all_sum16 = row_sum16_.reserve(size(tokens_ * padded / 16));
    const QuantizeRow quantize = quantize_row(cpu_level());
    for_each(pool, tokens_, [&](size_t token) {
      const auto t = static_cast<int64_t>(token);
      int8_t* q = all_q + t * padded;
      float* scale = all_scale + t * padded / 32;
      float* scale16 = all_scale16 + t * padded / 16;
      float* sum = all_sum + t * padded / 32;
      float* sum16 = all_sum16 + t * padded / 16;
      thread_local AlignedBuffer<int32_t> buffer;
      int32_t* half_sums = buffer.reserve(size(padded / 16));
      quantize(row(t), columns_, q, scale, half_sums);
      std::fill(q + columns_, q + padded, int8_t{0});
      std::fill(scale + columns_ / 32, scale + padded / 32, 0.0f);
      std::fill(half_sums + columns_ / 16, half_sums + padded / 16, 0);
      for (int64_t g = 0; g < padded / 32; ++g) {
        scale16[2 * g] = scale16[2 * g + 1] = scale[g];
        sum16[2 * g] = scale[g] * static_cast<float>(half_sums[2 * g]);
        sum16[2 * g + 1] = scale[g] * static_cast<float>(half_sums[2 * g + 1]);
        sum[g] = scale[g] * static_cast<float>(half_sums[2 * g] + half_sums[2 * g + 1]);
      }
    });
    has_rows_ = true;
  }
  return {row_q_.data(),   row_scale_.data(), row_scale16_.data(),
          row_sum_.data(), row_sum16_.data(), padded};
}

void Activations::make_tiles(const Core& core, ThreadPool& pool) {
  const int64_t n = core.tile_tokens;
  if (int8_tile_ == n) return;
  const int64_t words = columns_ / 4, groups = columns_ / 32, halves = columns_ / 16;
  int8_t* all_q = tile_q_.reserve(size(tiles(n) * n * columns_));
  float* all_scale = tile_scale_.reserve(size(tiles(n) * n * groups));
  int32_t* all_sums = tile_half_sums_.reserve(size(tiles(n) * n * halves));
  const QuantizeRow quantize = quantize_row(cpu_level());
  for_each(pool, tiles(n), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    int8_t* out_q = all_q + tile * n * columns_;
    float* out_scale = all_scale + tile * n * groups;
    int32_t* out_sums = all_sums + tile * n * halves;
    thread_local AlignedBuffer<int8_t> q_buffer;
    thread_local AlignedBuffer<float> scale_buffer;
    thread_local AlignedBuffer<int32_t> sums_buffer;
    int8_t* q = q_buffer.reserve(size(columns_));
    float* scale = scale_buffer.reserve(size(groups));
    int32_t* sums = sums_buffer.reserve(size(halves));
    for (int64_t i = 0; i < n; ++i) {
      if (const int64_t t = tile * n + i; t < tokens_) {
        quantize(row(t), columns_, q, scale, sums);
      } else {
        std::fill(q, q + columns_, int8_t{0});
        std::fill(scale, scale + groups, 0.0f);
        std::fill(sums, sums + halves, 0);
      }
      for (int64_t w = 0; w < words; ++w) std::memcpy(out_q + 4 * (w * n + i), q + 4 * w, 4);
      for (int64_t g = 0; g < groups; ++g) out_scale[g * n + i] = scale[g];
      for (int64_t g = 0; g < halves; ++g) out_sums[g * n + i] = sums[g];
    }
  });
  int8_tile_ = n;
  start_len_ = 0;
  has_wide_ = has_tile_sum_ = has_tile_sum16_ = false;
}

const int8_t* Activations::wide_tiles(int64_t n, ThreadPool& pool) {
  int16_t* all = tile_wide_.reserve(size(tiles(n) * n * columns_));
  if (!has_wide_) {
    for_each(pool, tiles(n), [&](size_t index) {
      const int64_t begin = static_cast<int64_t>(index) * n * columns_;
      const int8_t* q = tile_q_.data() + begin;
      int16_t* out = all + begin;
      for (int64_t w = 0; w < columns_ / 4; ++w, q += 4 * n, out += 4 * n) {
        for (int64_t i = 0; i < n; ++i) {
          out[2 * i] = q[4 * i];
          out[2 * i + 1] = q[4 * i + 2];
          out[2 * (n + i)] = q[4 * i + 1];
          out[2 * (n + i) + 1] = q[4 * i + 3];
        }
      }
    });
    has_wide_ = true;
  }
  return reinterpret_cast<const int8_t*>(all);
}

void Activations::make_starts(int64_t len, int factor, int64_t n, ThreadPool& pool) {
  if (start_len_ == len && start_factor_ == factor) return;
  const int64_t groups = columns_ / len, halves = len / 16;
  int32_t* all = tile_start_.reserve(size(tiles(n) * n * groups));
  for_each(pool, tiles(n), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    int32_t* out = all + tile * n * groups;
    const int32_t* sums = tile_half_sums_.data() + tile * n * columns_ / 16;
    for (int64_t g = 0; g < groups; ++g) {
      const int32_t* half = sums + g * halves * n;
      for (int64_t i = 0; i < n; ++i) {
        out[g * n + i] = factor * (half[i] + (halves == 2 ? half[n + i] : 0));
      }
    }
  });
  start_len_ = len;
  start_factor_ = factor;
}

const float* Activations::tile_sums(int64_t len, int64_t n, ThreadPool& pool) {
  AlignedBuffer<float>& buffer = len == 32 ? tile_sum_ : tile_sum16_;
  bool& made = len == 32 ? has_tile_sum_ : has_tile_sum16_;
  if (made) return buffer.data();
  const int64_t groups = columns_ / len, halves = len / 16;
  float* all = buffer.reserve(size(tiles(n) * n * groups));
  for_each(pool, tiles(n), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    float* out = all + tile * n * groups;
    const int32_t* sums = tile_half_sums_.data() + tile * n * columns_ / 16;
    const float* scale = tile_scale_.data() + tile * n * columns_ / 32;
    for (int64_t g = 0; g < groups; ++g) {
      const int32_t* half = sums + g * halves * n;
      const float* s = scale + g * len / 32 * n;
      for (int64_t i = 0; i < n; ++i) {
        out[g * n + i] = s[i] * static_cast<float>(half[i] + (halves == 2 ? half[n + i] : 0));
      }
    }
  });
  made = true;
  return all;
}

Int8Tile Activations::Int8Tiles::at(int64_t tile, int64_t column) const {
  const auto offset = [&](int64_t len) { return tokens_ * ((tile * columns_ + column) / len); };
  return {first_.q + q_bytes_ * offset(1), first_.scale + offset(32),
          first_.start + offset(scale_len_),
          first_.sum == nullptr ? nullptr : first_.sum + offset(offset_len_)};
}

Activations::Int8Tiles Activations::int8_tiles(const Core& core, const PlanarForm& form,
                                               ThreadPool& pool) {
  make_tiles(core, pool);
  make_starts(form.scale_len, core.bias(form) - form.zero, core.tile_tokens, pool);
  const bool wide = core.wide != nullptr && core.wide(form);
  Int8Tiles view;
  view.first_ = {
      wide ? wide_tiles(core.tile_tokens, pool) : tile_q_.data(), tile_scale_.data(),
      tile_start_.data(),
      form.offset_len == 0 ? nullptr : tile_sums(form.offset_len, core.tile_tokens, pool)};
  view.columns_ = columns_;
  view.tokens_ = core.tile_tokens;
  view.q_bytes_ = wide ? 2 : 1;
  view.scale_len_ = form.scale_len;
  view.offset_len_ = form.offset_len;
  return view;
}

const float* Activations::float_tiles(const Core& core, ThreadPool& pool) {
  const int64_t n = core.tile_tokens;
  if (float_tile_ == n) return tile_x_.data();
  float* all = tile_x_.reserve(size(tiles(n) * n * columns_));
  for_each(pool, tiles(n), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    float* out = all + tile * n * columns_;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t t = tile * n + i;
      for (int64_t c = 0; c < columns_; ++c) out[c * n + i] = t < tokens_ ? row(t)[c] : 0.0f;
    }
  });
  float_tile_ = n;
  return all;
}

Bf16Tiles Activations::Bf16View::at(int64_t token, int64_t tokens, int64_t column) const {
  Bf16Tiles tiles = all_;
  tiles.x += token / Bf16Core::kTokens * tiles.tile_stride + column * Bf16Core::kTokens;
  tiles.tokens = tokens;
  return tiles;
}

Activations::Bf16View Activations::bf16_tiles(const Bf16Core& core, int parts, ThreadPool& pool) {
  constexpr int64_t kTokens = Bf16Core::kTokens, kColumns = Bf16Core::kColumns;
  const int64_t columns = (columns_ + kColumns - 1) / kColumns * kColumns;
  const int64_t count = tiles(kTokens), tile_stride = kTokens * columns;
  const int64_t part_stride = count * tile_stride;
  uint16_t* all = tile_bf16_.reserve(size(parts * part_stride));
  if (bf16_parts_ < parts) {
    for_each(pool, count, [&](size_t index) {
      const auto tile = static_cast<int64_t>(index);
      thread_local AlignedBuffer<uint16_t> buffer;
      uint16_t* rows = buffer.reserve(size(parts * tile_stride));
      for (int64_t i = 0; i < kTokens; ++i) {
        uint16_t* out = rows + i * columns;
        if (const int64_t t = tile * kTokens + i; t < tokens_) {
          core.from_floats(row(t), columns_, parts, out, kColumns, tile_stride);
        } else {
          for (int p = 0; p < parts; ++p) {
            std::fill_n(out + p * tile_stride, columns, uint16_t{0});
          }
        }
      }
      for (int p = 0; p < parts; ++p) {
        core.interleave(rows + p * tile_stride, columns, columns,
                        all + p * part_stride + tile * tile_stride);
      }
    });
    bf16_parts_ = parts;
  }
  Bf16View view;
  view.all_ = {all, tokens_, tile_stride, part_stride, parts};
  return view;
}

}  // namespace pare

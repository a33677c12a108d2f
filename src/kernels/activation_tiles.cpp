#include "kernels/activation_tiles.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize.h"

namespace pare {
namespace {

size_t size(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

QuantizedTile QuantizedTiles::at(int64_t tile, int64_t column) const {
  const auto offset = [&](int64_t len) { return tokens_ * ((tile * columns_ + column) / len); };
  return {first_.q + q_bytes_ * offset(1), first_.scale + offset(32),
          first_.start + offset(scale_len_),
          first_.sum == nullptr ? nullptr : first_.sum + offset(offset_len_)};
}

template <class T>
void TileMaker<T>::make_q(const FloatRows& rows, ThreadPool& pool) {
  const int64_t n = tile_tokens_;
  const int64_t words = columns_ * static_cast<int64_t>(sizeof(T)) / 4;
  const int64_t groups = columns_ / 32, halves = columns_ / 16;
  const int64_t whole = rows.columns / 32 * 32;  // columns in whole groups
  int8_t* all_q = q_.reserve(size(tiles_ * n * 4 * words));
  float* all_scale = scale_.reserve(size(tiles_ * n * groups));
  int32_t* all_sums = half_sums_.reserve(size(tiles_ * n * halves));
  const QuantizeRow<T> quantize = quantize_row<T>(cpu_level());
  pool.parallel_for(size(tiles_), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    int8_t* out_q = all_q + tile * n * 4 * words;
    float* out_scale = all_scale + tile * n * groups;
    int32_t* out_sums = all_sums + tile * n * halves;
    thread_local AlignedBuffer<T> q_buffer;
    thread_local AlignedBuffer<float> scale_buffer;
    thread_local AlignedBuffer<int32_t> sums_buffer;
    T* q = q_buffer.reserve(size(columns_));
    float* scale = scale_buffer.reserve(size(groups));
    int32_t* sums = sums_buffer.reserve(size(halves));
    for (int64_t i = 0; i < n; ++i) {
      if (const int64_t t = tile * n + i; t < rows.tokens) {
        const float* x = rows.row(t);
        quantize(x, whole, q, scale, sums);
        if (whole != columns_) {
          float last[32] = {};
          std::copy(x + whole, x + rows.columns, last);
          quantize(last, 32, q + whole, scale + whole / 32, sums + whole / 16);
        }
      } else {
        std::fill(q, q + columns_, T{0});
        std::fill(scale, scale + groups, 0.0f);
        std::fill(sums, sums + halves, 0);
      }
      const auto* bytes = reinterpret_cast<const int8_t*>(q);
      for (int64_t w = 0; w < words; ++w) std::memcpy(out_q + 4 * (w * n + i), bytes + 4 * w, 4);
      for (int64_t g = 0; g < groups; ++g) out_scale[g * n + i] = scale[g];
      for (int64_t g = 0; g < halves; ++g) out_sums[g * n + i] = sums[g];
    }
  });
}

template <class T>
template <class Value, class Make>
void TileMaker<T>::of_group_sums(int64_t len, AlignedBuffer<Value>* out, ThreadPool& pool,
                                 const Make& make) {
  const int64_t n = tile_tokens_, groups = columns_ / len, halves = len / 16;
  Value* all = out->reserve(size(tiles_ * n * groups));
  pool.parallel_for(size(tiles_), [&](size_t index) {
    const auto tile = static_cast<int64_t>(index);
    const int32_t* sums = half_sums_.data() + tile * n * columns_ / 16;
    const float* scale = scale_.data() + tile * n * columns_ / 32;
    for (int64_t g = 0; g < groups; ++g) {
      Value* of_group = all + (tile * groups + g) * n;
      const int32_t* half = sums + g * halves * n;
      const float* s = scale + g * len / 32 * n;
      for (int64_t i = 0; i < n; ++i) {
        of_group[i] = make(half[i] + (halves == 2 ? half[n + i] : 0), s[i]);
      }
    }
  });
}

template <class T>
void TileMaker<T>::make_starts(int64_t len, int factor, ThreadPool& pool) {
  if (start_len_ == len && start_factor_ == factor) return;
  of_group_sums(len, &start_, pool, [&](int32_t sum, float) { return factor * sum; });
  start_len_ = len;
  start_factor_ = factor;
}

template <class T>
const float* TileMaker<T>::sums(int64_t len, ThreadPool& pool) {
  AlignedBuffer<float>& buffer = len == 32 ? sum_ : sum16_;
  bool& made = len == 32 ? has_sum_ : has_sum16_;
  if (!made) {
    of_group_sums(len, &buffer, pool,
                  [](int32_t sum, float scale) { return scale * static_cast<float>(sum); });
    made = true;
  }
  return buffer.data();
}

template <class T>
QuantizedTiles TileMaker<T>::make(const FloatRows& rows, int64_t tile_tokens, int scale_len,
                                  int offset_len, int factor, ThreadPool& pool) {
  if (tile_tokens_ != tile_tokens) {
    tile_tokens_ = tile_tokens;
    tiles_ = rows.tiles(tile_tokens);
    columns_ = (rows.columns + 31) / 32 * 32;
    start_len_ = 0;
    has_sum_ = has_sum16_ = false;
    make_q(rows, pool);
  }
  make_starts(scale_len, factor, pool);
  QuantizedTiles view;
  view.first_ = {q_.data(), scale_.data(), start_.data(),
                 offset_len == 0 ? nullptr : sums(offset_len, pool)};
  view.columns_ = columns_;
  view.tokens_ = tile_tokens;
  view.q_bytes_ = static_cast<int64_t>(sizeof(T));
  view.scale_len_ = scale_len;
  view.offset_len_ = offset_len;
  return view;
}

template class TileMaker<int8_t>;
template class TileMaker<int16_t>;

}  // namespace pare

#include "kernels/activation_tiles.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize.h"

namespace pare {
namespace {

size_t size(int64_t n) { return static_cast<size_t>(n); }

// n rows of `words` 4-byte words as columns: out[word][n].
void interleave(const void* rows, int64_t n, int64_t words, void* out) {
  constexpr int64_t kWord = 4;
  const auto* from = static_cast<const char*>(rows);
  auto* to = static_cast<char*>(out);
  for (int64_t w = 0; w < words; ++w, from += kWord) {
    for (int64_t i = 0; i < n; ++i, to += kWord) {
      std::memcpy(to, from + i * words * kWord, kWord);
    }
  }
}

}  // namespace

QuantizedTile QuantizedTiles::at(int64_t tile, int64_t column) const {
  const int64_t all = tokens_ * (tile * columns_ + column);  // a multiple of 32
  const auto groups = [&](int64_t len) { return len == 32 ? all / 32 : all / 16; };
  return {first_.q + q_bytes_ * all, first_.scale + groups(32), first_.start + groups(scale_len_),
          first_.sum == nullptr ? nullptr : first_.sum + groups(offset_len_)};
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
    T* q = q_buffer.reserve(size(n * columns_));
    float* scale = scale_buffer.reserve(size(n * groups));
    int32_t* sums = sums_buffer.reserve(size(n * halves));
    const int64_t there = std::min(n, rows.tokens - tile * n);
    for (int64_t i = 0; i < there; ++i) {
      const float* x = rows.row(tile * n + i);
      T* const row_q = q + i * columns_;
      float* const row_scale = scale + i * groups;
      int32_t* const row_sums = sums + i * halves;
      quantize(x, whole, row_q, row_scale, row_sums);
      if (whole == columns_) continue;
      float last[32] = {};
      std::copy(x + whole, x + rows.columns, last);
      quantize(last, 32, row_q + whole, row_scale + whole / 32, row_sums + whole / 16);
    }
    std::fill(q + there * columns_, q + n * columns_, T{0});
    std::fill(scale + there * groups, scale + n * groups, 0.0f);
    std::fill(sums + there * halves, sums + n * halves, 0);
    interleave(q, n, words, out_q);
    interleave(scale, n, groups, out_scale);
    interleave(sums, n, halves, out_sums);
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

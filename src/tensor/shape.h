// The extents of a tensor, slowest first (row-major), as in safetensors and torch.
// GGUF stores them the other way round; its reader and writer turn them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/check.h"

namespace pare {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // rank 0: one element
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    PARE_CHECK(dims.size() <= kMaxRank, "too many dimensions");
    for (size_t i = 0; i < dims.size(); ++i) dims_[i] = dims[i];
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }

  // Whether the product of these extents can be counted, in any order: zeros are left out.
  static bool countable(std::span<const int64_t> dims) {
    int64_t n = 1;
    for (int64_t d : dims) {
      if (d != 0 && __builtin_mul_overflow(n, d, &n)) return false;
    }
    return true;
  }

  // The product of all extents. Readers have checked that it is countable before a Shape is made.
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : dims()) n *= d;
    return n;
  }
  // Row length (the last extent) and the number of such rows. Rank 0 is one row of one.
  int64_t columns() const { return rank_ == 0 ? 1 : dims_[static_cast<size_t>(rank_ - 1)]; }
  int64_t rows() const { return columns() == 0 ? 0 : elements() / columns(); }

  std::string to_string() const;  // "[576, 1536]"
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace pare

// Products of quantized rows with few tokens, worked out while the levels are still in registers:
// what decoding spends its time in. Codecs without such a function are unpacked first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/core.h"

namespace pare {

struct Dot {
  CodecId codec;
  // y[t * y_stride + r] = the product of row r with token t, for 1 <= rows <= kRows neighbouring
  // rows of `columns` columns and 1 <= tokens <= at_once.
  static constexpr int64_t kRows = 16;
  void (*dot)(const std::byte* weight, int64_t rows, int64_t columns, const Int8Rows& x,
              int64_t tokens, float* y, int64_t y_stride);
  int64_t at_once;
  int64_t most_tokens;  // with more than these, panels are faster; at least kAlikeTokens
  // 0: x.q is in order. Else of every so many columns the first 16 of each 32, then the last 16.
  int halved = 0;
};

// Null: there is none.
const Dot* find_dot(CpuLevel level, CodecId codec);

// The families that they come from; x86-64 only.
std::span<const Dot> avx2_dots();           // level kAvx2
std::span<const Dot> avx_vnni_dots();       // level kAvxVnni, and CpuFeature::kAvxVnni
std::span<const Dot> avx_vnni_evex_dots();  // level kAvxVnni, without
std::span<const Dot> avx512_dots();         // level kAvx512
std::span<const Dot> vbmi_dots();           // the same, and CpuFeature::kVbmi

}  // namespace pare

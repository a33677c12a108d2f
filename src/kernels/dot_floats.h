// Products of float rows (F32, F16, BF16) with few tokens, which are floats, too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "tensor/codec_id.h"

namespace pare {

// y[t * y_stride + r] = the product of row r, of `columns` columns, with x + t * x_stride, for
// `rows` neighbouring rows.
using FloatDot = void (*)(const std::byte* weight, int64_t rows, int64_t columns, const float* x,
                          int64_t x_stride, int64_t tokens, float* y, int64_t y_stride);

// Null: there is none.
FloatDot find_float_dot(CpuLevel level, CodecId codec);

}  // namespace pare

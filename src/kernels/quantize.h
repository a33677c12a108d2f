// Quantizes activations: signed bytes in groups of 32 with a float scale each.
#pragma once

#include <cstdint>

#include "kernels/cpu.h"

namespace pare {

// x[c] = scale[c / 32] * q[c] as nearly as it can be, |q| <= 127; half_sums[c / 16] is the sum of
// 16 q. columns is a multiple of 32. Scales are infinite or NaN where x is.
using QuantizeRow = void (*)(const float* x, int64_t columns, int8_t* q, float* scale,
                             int32_t* half_sums);
QuantizeRow quantize_row(CpuLevel level);

}  // namespace pare

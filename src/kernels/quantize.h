// Quantizes activations, and float weights for cores that multiply integers faster: integers in
// groups of 32 with a float scale each.
#pragma once

#include <cstdint>

#include "kernels/cpu.h"

namespace pare {

// The largest magnitude of 16-bit integers. Sums of 32 products of two fit 32 bits; bytes are not
// rounded again.
inline constexpr int kWideMost = 127 * 64;

// x[c] = scale[c / 32] * q[c] as nearly as it can be, |q| <= 127, or kWideMost where q is of 16
// bits; half_sums[c / 16] is the sum of 16 q. columns is a multiple of 32. Scales are infinite or
// NaN where x is.
template <class T>
using QuantizeRow = void (*)(const float* x, int64_t columns, T* q, float* scale,
                             int32_t* half_sums);
// T: int8_t or int16_t.
template <class T>
QuantizeRow<T> quantize_row(CpuLevel level);

}  // namespace pare

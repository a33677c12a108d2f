// The graph's other operations on the device, over rows of activations, and the forms in which
// products read them. Outputs in floats may be inputs, element for element.
#pragma once

#include "kernels/cuda/device.h"

namespace pare::cuda {

// x in the forms of `out` (its floats are not written if they are x).
void convert_rows(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width,
                  const Forms& out);
// RMS norm with `weight`; a layer norm (less the mean, `bias` may be null) if `centred`.
void norm_rows(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width,
               const float* weight, const float* bias, float epsilon, bool centred,
               const Forms& out);
// RMS norm of each `slice` of columns; width is a multiple of it.
void norm_slices(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width, int64_t slice,
                 const float* weight, float epsilon, const FloatRows& out);
// gate(x), times y where y.data is not null.
void gate_rows(Stream& stream, Gate kind, const FloatRows& x, const FloatRows& y, int64_t tokens,
               int64_t width, const Forms& out);

enum class Pointwise { kAdd, kMultiply, kScale, kSoftcap };
// kAdd, kMultiply: of x and y; kScale: x * factor; kSoftcap: factor * tanh(x / factor).
void pointwise(Stream& stream, Pointwise kind, const FloatRows& x, const FloatRows& y, float factor,
               int64_t tokens, int64_t width, const FloatRows& out);

// index[t] = *position + t.
void count_positions(Stream& stream, const int32_t* position, int64_t tokens, int32_t* index);

// Turns of a kind of rope: cos and sin of each position, one after the other, [positions][pairs].
struct Turns {
  const float* table = nullptr;  // null: nothing is turned
  int pairs = 0;
  bool halves = false;  // pairs (i, i + pairs), else (2 i, 2 i + 1)
};
// table[p][i] = cos and sin of p * frequency[i], times factor.
void make_turns(Stream& stream, const double* frequency, int pairs, float factor, int64_t positions,
                float* table);
void rope_rows(Stream& stream, const FloatRows& x, int64_t tokens, int heads, int head_dim,
               const Turns& turns, const int32_t* position, const FloatRows& out);

}  // namespace pare::cuda

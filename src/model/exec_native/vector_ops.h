// The graph's operations other than matrix products and attention, on one row: vectorised with
// run-time dispatch, pure, thread safe. Outputs may be the same array as an input, element for
// element, unless said otherwise; pointers need no alignment.
#pragma once

#include <cstdint>

#include "model/graph.h"

namespace pare {

// out = x / sqrt(mean(x^2) + epsilon) * weight
void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out);
// out = (x - mean) / sqrt(variance + epsilon) * weight + bias; bias may be null.
void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* out);
void add(const float* a, const float* b, int64_t n, float* out);
void multiply(const float* a, const float* b, int64_t n, float* out);
void scale(const float* x, float factor, int64_t n, float* out);
// factor * tanh(x / factor)
void softcap(const float* x, float factor, int64_t n, float* out);
// kind: kSilu, kGeluTanh or kGeluErf. out = f(x), or f(x) * gated where `gated` is not null.
void activate(OpKind kind, const float* x, const float* gated, int64_t n, float* out);

// Turns the first 2 * pairs columns of each head, copies the rest. cos, sin: [pairs].
void rope(const float* x, const float* cos, const float* sin, int64_t pairs, RopeLayout layout,
          int64_t heads, int64_t head_dim, float* out);

}  // namespace pare

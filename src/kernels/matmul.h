// Matrix products with packed weights: y = x w^T + bias, the one operation in which a model
// spends its time. Kernels are chosen at run time from the list (list.h) by codec and by what
// the CPU can do.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/status.h"
#include "base/threads.h"
#include "kernels/activations.h"
#include "tensor/tensor.h"

namespace pare {

// Checks once, when a model is loaded, that there is a kernel for this weight: kUnsupported names
// the codec; kInvalidArgument if the bytes are not as many as the shape needs.
Status check_matmul(const PackedTensor& weight);

// y[t * y_stride + r] = sum_c w[r, c] x[t, c] + bias[r] for all tokens t of x and all rows r.
// weight: [rows, columns], columns equal to x.columns(). bias: rows floats, or null.
// Sums do not depend on the number of threads.
void matmul(const PackedTensor& weight, Activations& x, const float* bias, float* y,
            int64_t y_stride, ThreadPool& pool);

// Several products with the same activations; faster than one after the other.
struct Product {
  const PackedTensor* weight;
  const float* bias;
  float* y;
  int64_t y_stride;
};
void matmul(std::span<const Product> products, Activations& x, ThreadPool& pool);

// up[i] *= f(gate[i]) for n of both.
using Gate = std::function<void(const float* gate, float* up, int64_t n)>;

// up.y becomes what `apply` makes of both products while they are near; gate.y is not written. x is
// not read any more when up.y is written, so that it may take x's place. False, and nothing is
// done, where that is not faster than products first.
bool matmul_gated(const Product& gate, const Product& up, Activations& x, ThreadPool& pool,
                  const Gate& apply);

}  // namespace pare

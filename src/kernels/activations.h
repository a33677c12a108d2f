// The left-hand side of matrix products: the floats of some tokens, and the forms that kernels
// read, made when first asked for. Weights that read the same activations share the work.
#pragma once

#include <cstdint>
#include <vector>

#include "base/threads.h"

namespace pare {

class Activations {
 public:
  // Looks at x[t * stride + c], 0 <= t < tokens, 0 <= c < columns, until the next call; forgets
  // the forms made of what it looked at before (their memory is kept for reuse).
  void assign(const float* x, int64_t tokens, int64_t columns, int64_t stride);

  const float* row(int64_t token) const { return x_ + token * stride_; }
  int64_t tokens() const { return tokens_; }
  int64_t columns() const { return columns_; }

 private:
  const float* x_ = nullptr;
  int64_t tokens_ = 0, columns_ = 0, stride_ = 0;
};

}  // namespace pare

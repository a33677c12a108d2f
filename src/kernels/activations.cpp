#include "kernels/activations.h"

namespace pare {

void Activations::assign(const float* x, int64_t tokens, int64_t columns, int64_t stride) {
  x_ = x;
  tokens_ = tokens;
  columns_ = columns;
  stride_ = stride;
}

}  // namespace pare

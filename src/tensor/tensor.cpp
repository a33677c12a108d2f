#include "tensor/tensor.h"

namespace pare {

int64_t TensorSource::find(std::string_view name) const {
  const auto all = tensors();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace pare

// For tests: tensors of floats in memory.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

class FloatSource final : public TensorSource {
 public:
  void add(std::string name, Shape shape, std::vector<float> values) {
    infos_.push_back({std::move(name), shape, CodecId::kF32, values.size() * 4});
    values_.push_back(std::move(values));
  }
  std::span<const TensorInfo> tensors() const override { return infos_; }
  Result<PackedTensor> read(size_t index) const override {
    return PackedTensor{CodecId::kF32, infos_[index].shape,
                        std::as_bytes(std::span(values_[index])), nullptr};
  }
  std::vector<std::vector<float>> values_;

 private:
  std::vector<TensorInfo> infos_;
};

}  // namespace pare

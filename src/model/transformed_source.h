// Tensors of another source under other names, some of them changed as they are read. What is
// not changed is passed on without a copy.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

class TransformedSource final : public TensorSource {
 public:
  explicit TransformedSource(std::shared_ptr<const TensorSource> base) : base_(std::move(base)) {}

  using Transform = std::function<Result<PackedTensor>(const PackedTensor&)>;

  // Tensor `index` of the base under a new name.
  void pass(std::string name, size_t index);
  // The same, changed: `transform` must give what `info` says (its bytes are worked out here).
  void add(TensorInfo info, size_t index, Transform transform);
  // A float32 vector that the base does not have.
  void add_vector(std::string name, std::vector<float> values);

  std::span<const TensorInfo> tensors() const override { return infos_; }
  Result<PackedTensor> read(size_t index) const override;
  void release(size_t index) const override;

 private:
  struct Entry {
    int64_t base = -1;    // in base_, or -1: `own`
    Transform transform;  // null: pass on
    PackedTensor own;
  };
  std::shared_ptr<const TensorSource> base_;
  std::vector<TensorInfo> infos_;
  std::vector<Entry> entries_;
};

// Transforms. Rows are moved as bytes, whatever their codec; a vector's elements count as rows.
// Each head's rows: (first halves, second halves) -> interleaved pairs, and back.
Result<PackedTensor> interleave_heads(const PackedTensor& in, int64_t heads);
Result<PackedTensor> deinterleave_heads(const PackedTensor& in, int64_t heads);
// Every element plus `addend`, as float32.
Result<PackedTensor> add_constant(const PackedTensor& in, float addend);
// A matrix turned over: of floats in their own type, of anything else as float32.
Result<PackedTensor> transpose(const PackedTensor& in);

// The whole tensor as float32.
Result<PackedTensor> decode_to_f32(const PackedTensor& in);

}  // namespace pare

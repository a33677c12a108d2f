// A model ready to run on packed weights: matrices stay as they lie in the file (mapped where
// the disk form allows), norms and biases become floats. Immutable: sessions on several threads
// may share one.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "model/exec_native/program.h"
#include "model/open.h"

namespace pare {

class NativeModel {
 public:
  // Errors name file and tensor: kUnsupported: an operation or a codec without a kernel;
  // kNotFound: a tensor that the graph reads and the file lacks; those of reading.
  static Result<std::shared_ptr<const NativeModel>> load(std::shared_ptr<const Model> model);

  const Model& model() const { return *model_; }
  const ModelDesc& desc() const { return model_->desc; }
  const Program& program() const { return program_; }
  int64_t vocabulary() const { return desc().hparams.n_vocab; }
  int64_t width() const { return desc().hparams.n_embd; }

  // Indices into desc().tensors. A matrix: what kLinear and the embeddings read.
  const PackedTensor& matrix(int32_t tensor) const { return packed_[static_cast<size_t>(tensor)]; }
  // The floats of any other tensor; null if `tensor` is -1.
  const float* floats(int32_t tensor) const {
    return tensor < 0 ? nullptr : floats_[static_cast<size_t>(tensor)].data();
  }

  // Bytes of weights that one more token reads: all matrices, of the embedding one row.
  uint64_t bytes_per_token() const { return bytes_per_token_; }

 private:
  NativeModel() = default;
  Status load_ops(const OpList& ops);
  Result<PackedTensor> read(int32_t tensor) const;
  Status load_matrix(int32_t tensor, bool multiplied);
  Status load_floats(int32_t tensor);

  std::shared_ptr<const Model> model_;
  Program program_;
  std::vector<PackedTensor> packed_;        // by index of desc().tensors
  std::vector<std::vector<float>> floats_;  // the same
  uint64_t bytes_per_token_ = 0;
};

}  // namespace pare

// Reads llama2.c checkpoints (its first, headerless-version form): a header of seven int32, then
// float32 weights in a fixed order, and beside it a tokenizer in a file of its own. Small real
// models come in this form, which makes it the seam for tests on real weights.
//
// Presented in GGUF's terms: canonical tensor names, llama metadata, the vocabulary as
// tokenizer.ggml.*. llama2.c rotates neighbouring pairs, as GGUF's llama does, so the rows of q
// and k stay as they are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/gguf/metadata.h"
#include "tensor/tensor.h"

namespace pare::llama2c {

class File final : public TensorSource {
 public:
  // tokenizer_path: empty for tok<vocabulary size>.bin or tokenizer.bin beside the checkpoint;
  // without either, the metadata holds no vocabulary.
  static Result<std::shared_ptr<const File>> open(const std::string& path,
                                                  const std::string& tokenizer_path = "");
  // `tokenizer` may be null.
  static Result<std::shared_ptr<const File>> parse(std::shared_ptr<const MappedFile> checkpoint,
                                                   std::shared_ptr<const MappedFile> tokenizer);
  // Whether the bytes are such a checkpoint: there is no magic number, but the header predicts
  // the size of the file.
  static bool recognises(std::span<const std::byte> bytes);

  const gguf::Metadata& metadata() const { return metadata_; }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  Result<PackedTensor> read(size_t index) const override;
  void release(size_t index) const override;

 private:
  File() = default;
  std::span<const std::byte> bytes(size_t index) const;

  std::shared_ptr<const MappedFile> file_;
  gguf::Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint64_t> offsets_;
};

}  // namespace pare::llama2c

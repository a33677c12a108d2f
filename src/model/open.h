// Opens what a user has (GGUF file, Hugging Face directory, llama2.c checkpoint) as one thing:
// canonical tensors, canonical metadata, a description. Nothing is decoded yet.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "model/desc.h"
#include "tensor/tensor.h"

namespace pare {

struct Model {
  std::string path;
  std::string form;                             // "gguf", "hf", "llama2c"
  gguf::Metadata metadata;                      // GGUF-form, tokenizer included
  std::shared_ptr<const TensorSource> tensors;  // canonical names, shapes and row order
  ModelDesc desc;

  // Index into tensors->tensors() of desc.tensors[i], or -1 (an absent optional tensor).
  std::vector<int64_t> source_index;
};

struct OpenOptions {
  bool tokenizer = true;  // false: an HF directory's tokenizer files are not needed (inspect)
};

Result<Model> open_model(const std::string& path, const OpenOptions& options = {});

}  // namespace pare

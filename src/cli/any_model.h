// A path opened as far as pare understands it: verbs that only look at files (inspect, diff)
// also serve those whose architecture this build does not know.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "formats/gguf/metadata.h"
#include "model/desc.h"
#include "tensor/tensor.h"

namespace pare::cli {

struct AnyModel {
  std::string path;
  std::string form;         // "gguf", "hf", "safetensors", "llama2c"
  gguf::Metadata metadata;  // empty where the form has none that we can read
  std::shared_ptr<const TensorSource> tensors;
  std::optional<ModelDesc> desc;  // absent: tensor names are as on disk
  std::string problem;            // what is not understood of the model; empty: nothing
  uint64_t file_bytes = 0;        // of all files with weights
  size_t files = 1;
  uint32_t gguf_version = 0;
};

// Fails only if the files cannot be read at all.
Result<AnyModel> open_any(const std::string& path);

// As it stands in the file: for safetensors also types that have no codec ("F8_E4M3").
std::string type_name(const AnyModel& model, size_t index);

}  // namespace pare::cli

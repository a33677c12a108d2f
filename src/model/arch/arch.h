// An architecture: everything pare knows of one family of models, declared once.
//
// Adding one: a file that defines a `const Architecture k...`, and one line in table.cpp.
// All functions are pure and thread safe.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "model/arch/hf_config.h"
#include "model/desc.h"
#include "tensor/tensor.h"

namespace pare {

// What differs between a tensor of a Hugging Face checkpoint and its canonical form.
enum class HfTransform {
  kNone,
  // Each head's rows from (first halves, second halves) to interleaved pairs; 1-D: elements.
  kRopeRowsQ,
  kRopeRowsK,
  kAddOne,     // a norm weight stored as its difference from one
  kTranspose,  // GPT-2's Conv1D: stored [in, out]
};

// Names without their ".weight" or ".bias"; "{}" stands for the block.
struct NameRule {
  const char* canonical;
  const char* hf;  // without the base model's prefix ("model.")
  HfTransform transform = HfTransform::kNone;
};

// What describe() may look at: the metadata, and which tensors there are.
struct ArchInput {
  const gguf::Metadata& metadata;
  std::span<const TensorInfo> tensors;
};

struct Architecture {
  const char* name;  // general.architecture
  std::span<const char* const> hf_classes;
  const char* hf_model_type;  // config.json's "model_type"
  const char* hf_prefix;      // of everything but the output matrix: "model."
  bool hf_tied_by_default;    // what a config.json without "tie_word_embeddings" means
  std::span<const NameRule> names;

  // config.json -> the metadata keys of this architecture ("llama.*"), as llama.cpp's converter
  // writes them. `keys` sets them; general.* and tokenizer.* are not its business.
  Status (*metadata_from_config)(const HfConfig& config, KeyWriter* keys);
  // The other way round. "architectures", "model_type", "vocab_size" and "tie_word_embeddings"
  // are set already.
  Status (*config_from_metadata)(const KeyReader& keys, const ModelDesc& desc,
                                 nlohmann::json* config);
  // Metadata -> tensors and graph (sites and couplings are derived from it by the caller).
  Result<ModelDesc> (*describe)(const ArchInput& input);
};

// All architectures, and the one with a GGUF or Hugging Face class name (null: unknown).
std::span<const Architecture* const> all_architectures();
const Architecture* find_architecture(std::string_view gguf_name);
const Architecture* find_architecture_by_hf_class(std::string_view class_name);
// "llama, qwen2, ...": for messages.
std::string architecture_names();

// The complete description of a model in canonical form. Errors: unknown architecture, keys that
// are absent, of the wrong type or impossible. Tensors are not checked (see check_tensors).
Result<ModelDesc> describe_model(const gguf::Metadata& metadata,
                                 std::span<const TensorInfo> tensors);

// Compares what `desc` declares with what `source` holds, and returns Model::source_index.
// `file` is named in errors, as are the tensor, what was found and what was expected.
Result<std::vector<int64_t>> check_tensors(const ModelDesc& desc,
                                           std::span<const TensorInfo> source,
                                           std::string_view file);

}  // namespace pare

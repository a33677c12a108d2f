// Between a Hugging Face checkpoint's tensors and canonical ones, in both directions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/arch/arch.h"
#include "model/transformed_source.h"

namespace pare {

// The architecture that a config.json's "architectures" (or "model_type") names.
Result<const Architecture*> architecture_of_config(const nlohmann::json& config);

// A checkpoint's tensors under canonical names, the tensors that config.json implies included
// (rope_freqs). `file` is named in errors, as is a tensor that the architecture does not know.
Result<std::shared_ptr<const TensorSource>> canonical_view(
    const Architecture& arch, const nlohmann::json& config,
    std::shared_ptr<const TensorSource> checkpoint, std::string_view file);

// The other way round, for writing a checkpoint from a model in canonical form: its config.json
// and its tensors under Hugging Face's names, in float32 where a transform needs floats.
struct HfForm {
  nlohmann::json config;
  std::shared_ptr<const TensorSource> tensors;
};
Result<HfForm> hugging_face_form(const gguf::Metadata& metadata, const ModelDesc& desc,
                                 std::shared_ptr<const TensorSource> canonical);

}  // namespace pare

// What Qwen2 and Qwen3 share.
#pragma once

#include "model/arch/common.h"

namespace pare {

Status qwen_metadata_from_config(const HfConfig& config, KeyWriter* keys);
Status qwen_config_from_metadata(const KeyReader& keys, const ModelDesc& desc,
                                 nlohmann::json* config);
// Only `attention`'s bias and head_norms are read; rope and windows come from the metadata.
Result<ModelDesc> describe_qwen(const ArchInput& input, const char* arch,
                                GraphBuilder::Attention attention);

}  // namespace pare

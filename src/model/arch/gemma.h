// What Gemma 2 and 3 share: norms stored as their difference from one and placed before and
// after each half block, a scaled embedding, GeGLU, tied output, sliding windows in most blocks.
#pragma once

#include "model/arch/common.h"

namespace pare {

struct GemmaTraits {
  const char* arch;
  int64_t window_period;   // one full-attention block in so many
  int64_t default_window;  // of a file that does not say
  bool head_norms;
  bool local_rope;      // windowed blocks have a rope of their own
  int64_t wide_blocks;  // the block count of the one size whose q is scaled by width / heads
};

Status gemma_metadata_from_config(const GemmaTraits& traits, const HfConfig& config,
                                  KeyWriter* keys);
Status gemma_config_from_metadata(const GemmaTraits& traits, const KeyReader& keys,
                                  const ModelDesc& desc, nlohmann::json* config);
Result<ModelDesc> describe_gemma(const GemmaTraits& traits, const ArchInput& input);

}  // namespace pare

// Rotary position embedding in both descriptions of a model, and the tensors of frequency
// divisors that come with some of its scaling variants.
//
//   linear    positions / factor (Chen et al., 2023)
//   yarn      frequencies mixed by a ramp (Peng et al., 2023, section 3.2)
//   llama3    divisors per frequency, from four numbers of config.json: tensor rope_freqs
//   longrope  divisors listed in config.json (Ding et al., 2024): rope_factors_{long,short}
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/arch/builder.h"

namespace pare {

// Sets rope.freq_base, rope.freq_base_swa and rope.scaling.* from config.json.
Status write_rope_keys(const HfConfig& config, KeyWriter* keys);

// The tensors that config.json implies, by canonical name: float32, one per frequency.
using RopeTensors = std::vector<std::pair<std::string, std::vector<float>>>;
Result<RopeTensors> rope_tensors(const HfConfig& config);

// The rope of a model in canonical form; declares the tensors of divisors that are present.
// Call it while building the prologue.
Result<RopeParams> read_rope(const KeyReader& keys, RopeLayout layout, GraphBuilder* graph);
// The rope of sliding-attention blocks where it differs (Gemma 3): rope.freq_base_swa, unscaled.
Result<RopeParams> read_local_rope(const KeyReader& keys, const RopeParams& global);

// The inverse of write_rope_keys: "rope_theta" and "rope_scaling".
Status rope_to_config(const KeyReader& keys, nlohmann::json* config);
// The inverse of rope_tensors: completes "rope_scaling" from the divisors in `tensors`. Llama 3's
// are recognised if they are what its published settings give; others are unsupported.
Status rope_tensors_to_config(const RopeTensors& tensors, nlohmann::json* config);

}  // namespace pare

// What most decoder architectures share: names, keys, configuration.
#pragma once

#include <string_view>
#include <vector>

#include "model/arch/builder.h"
#include "model/arch/rope.h"

namespace pare {

// The keys that llama.cpp's converter writes for every decoder: extents, heads, rope, epsilon,
// and head sizes if config.json names them.
Status write_common_keys(const HfConfig& config, KeyWriter* keys);
Status common_keys_to_config(const KeyReader& keys, nlohmann::json* config);

// Refuses a config.json whose activation (under any of `keys`) is none of `accepted`.
Status check_activation(const HfConfig& config, std::initializer_list<const char*> keys,
                        std::initializer_list<std::string_view> accepted);

// Which blocks attend within a window: blocks where (index % period) < period - 1; period 0: all.
// Writes attention.sliding_window, and attention.sliding_window_pattern if "layer_types" or
// "sliding_window_pattern" differ from `default_period`. A null "sliding_window": nothing.
Status write_window_keys(const HfConfig& config, int64_t default_period, KeyWriter* keys);
// One window per block, 0: none. `default_window`: what a file without the key means.
Result<std::vector<int64_t>> read_windows(const KeyReader& keys, const Hparams& hparams,
                                          int64_t default_period, int64_t default_window = 0);
// "sliding_window" and "layer_types".
Status windows_to_config(const KeyReader& keys, const ModelDesc& desc, int64_t default_period,
                         nlohmann::json* config);

// True if the block's tensor, such as "attn_q.bias", is part of the description.
bool has_tensor(const ModelDesc& desc, std::string_view name_in_first_block);

}  // namespace pare

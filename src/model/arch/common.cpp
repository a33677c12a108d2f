#include "model/arch/common.h"

#include <algorithm>

namespace pare {

using nlohmann::json;

Status write_common_keys(const HfConfig& config, KeyWriter* keys) {
  PARE_ASSIGN_OR_RETURN(const int64_t blocks, config.integer({"num_hidden_layers"}));
  PARE_ASSIGN_OR_RETURN(const int64_t context, config.integer({"max_position_embeddings"}));
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"hidden_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t hidden, config.integer({"intermediate_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"num_attention_heads"}));
  PARE_ASSIGN_OR_RETURN(const int64_t kv_heads, config.integer({"num_key_value_heads"}, heads));
  PARE_ASSIGN_OR_RETURN(const double epsilon, config.number("rms_norm_eps", 1e-6));
  keys->integer("block_count", blocks);
  keys->integer("context_length", context);
  keys->integer("embedding_length", width);
  keys->integer("feed_forward_length", hidden);
  keys->integer("attention.head_count", heads);
  keys->integer("attention.head_count_kv", kv_heads);
  PARE_RETURN_IF_ERROR(write_rope_keys(config, keys));
  keys->real("attention.layer_norm_rms_epsilon", epsilon);
  if (config.has("head_dim")) {
    PARE_ASSIGN_OR_RETURN(const int64_t head_dim, config.integer({"head_dim"}));
    keys->integer("attention.key_length", head_dim);
    keys->integer("attention.value_length", head_dim);
  }
  return {};
}

Status common_keys_to_config(const KeyReader& keys, json* config) {
  static constexpr std::pair<const char*, const char*> kIntegers[] = {
      {"block_count", "num_hidden_layers"},
      {"context_length", "max_position_embeddings"},
      {"embedding_length", "hidden_size"},
      {"feed_forward_length", "intermediate_size"},
      {"attention.head_count", "num_attention_heads"}};
  for (const auto& [from, to] : kIntegers) {
    PARE_ASSIGN_OR_RETURN(const int64_t value, keys.integer(from, 1, int64_t{1} << 31));
    (*config)[to] = value;
  }
  PARE_ASSIGN_OR_RETURN(const int64_t heads, keys.integer("attention.head_count"));
  PARE_ASSIGN_OR_RETURN(const int64_t kv_heads, keys.integer_or("attention.head_count_kv", heads));
  (*config)["num_key_value_heads"] = kv_heads;
  PARE_ASSIGN_OR_RETURN(const float epsilon, keys.real("attention.layer_norm_rms_epsilon"));
  (*config)["rms_norm_eps"] = json_float(epsilon);
  if (keys.has("attention.key_length")) {
    PARE_ASSIGN_OR_RETURN(const int64_t key_length, keys.integer("attention.key_length"));
    PARE_ASSIGN_OR_RETURN(const int64_t value_length,
                          keys.integer_or("attention.value_length", key_length));
    if (value_length != key_length) {
      return unsupported("metadata: keys of {} and values of {} columns in a config.json",
                         key_length, value_length);
    }
    (*config)["head_dim"] = key_length;
  }
  return rope_to_config(keys, config);
}

Status check_activation(const HfConfig& config, std::initializer_list<const char*> keys,
                        std::initializer_list<std::string_view> accepted) {
  for (const char* key : keys) {
    if (!config.has(key)) continue;
    PARE_ASSIGN_OR_RETURN(const std::string found, config.string(key, ""));
    if (std::find(accepted.begin(), accepted.end(), found) == accepted.end()) {
      return unsupported("config.json: \"{}\" is \"{}\", expected \"{}\"", key, found,
                         *accepted.begin());
    }
  }
  return {};
}

Status write_window_keys(const HfConfig& config, int64_t default_period, KeyWriter* keys) {
  if (!config.has("sliding_window")) return {};
  PARE_ASSIGN_OR_RETURN(const int64_t window, config.integer({"sliding_window"}));
  PARE_ASSIGN_OR_RETURN(const int64_t blocks, config.integer({"num_hidden_layers"}));
  const auto slides = [](int64_t block, int64_t period) {
    return period == 0 || block % period < period - 1;
  };
  PARE_ASSIGN_OR_RETURN(const int64_t period, config.has("sliding_window_pattern")
                                                  ? config.integer({"sliding_window_pattern"})
                                                  : Result<int64_t>(default_period));
  std::vector<uint32_t> pattern;
  if (config.has("layer_types")) {
    PARE_ASSIGN_OR_RETURN(const std::vector<std::string> types, config.strings("layer_types"));
    if (static_cast<int64_t>(types.size()) != blocks) {
      return invalid_argument("config.json: \"layer_types\" has {} entries for {} layers",
                              types.size(), blocks);
    }
    for (const std::string& type : types) {
      if (type != "sliding_attention" && type != "full_attention") {
        return unsupported("config.json: layer type \"{}\"", type);
      }
      pattern.push_back(type == "sliding_attention" ? 1 : 0);
    }
  } else {
    // A hostile count of layers must not cost memory before its tensors are looked for.
    for (int64_t b = 0; b < std::min<int64_t>(blocks, 1 << 16); ++b) {
      pattern.push_back(slides(b, period) ? 1 : 0);
    }
  }
  if (std::find(pattern.begin(), pattern.end(), 1u) == pattern.end()) return {};
  keys->integer("attention.sliding_window", window);
  for (size_t b = 0; b < pattern.size(); ++b) {
    if ((pattern[b] == 1) == slides(static_cast<int64_t>(b), default_period)) continue;
    keys->array("attention.sliding_window_pattern", gguf::Array::of(pattern));
    break;
  }
  return {};
}

Result<std::vector<int64_t>> read_windows(const KeyReader& keys, const Hparams& hparams,
                                          int64_t default_period, int64_t default_window) {
  std::vector<int64_t> windows(static_cast<size_t>(hparams.n_block), 0);
  PARE_ASSIGN_OR_RETURN(const int64_t window, keys.integer_or("attention.sliding_window",
                                                              default_window, 0, int64_t{1} << 31));
  if (window == 0) return windows;
  const char* const kPattern = "attention.sliding_window_pattern";
  const gguf::Value* value = keys.metadata().find(keys.key(kPattern));
  if (value != nullptr && value->array() != nullptr) {
    const gguf::Array& array = *value->array();
    if (array.size() < windows.size()) {
      return corrupt("metadata: {} has {} entries for {} blocks", keys.key(kPattern), array.size(),
                     windows.size());
    }
    for (size_t b = 0; b < windows.size(); ++b) {
      const bool slides = array.number<bool>(b).value_or(array.number<int64_t>(b).value_or(0) != 0);
      windows[b] = slides ? window : 0;
    }
    return windows;
  }
  PARE_ASSIGN_OR_RETURN(const int64_t period, keys.integer_or(kPattern, default_period));
  for (size_t b = 0; b < windows.size(); ++b) {
    const bool slides = period == 0 || static_cast<int64_t>(b) % period < period - 1;
    windows[b] = slides ? window : 0;
  }
  return windows;
}

Status windows_to_config(const KeyReader& keys, const ModelDesc& desc, int64_t default_period,
                         json* config) {
  PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> windows,
                        read_windows(keys, desc.hparams, default_period));
  const int64_t window = *std::max_element(windows.begin(), windows.end());
  if (window == 0) return {};
  (*config)["sliding_window"] = window;
  json types = json::array();
  for (int64_t w : windows) types.push_back(w > 0 ? "sliding_attention" : "full_attention");
  (*config)["layer_types"] = std::move(types);
  return {};
}

bool has_tensor(const ModelDesc& desc, std::string_view name_in_first_block) {
  return desc.find(fmt::format("blk.0.{}", name_in_first_block)) >= 0;
}

}  // namespace pare

// What presets are called, and what they make of a tensor's name.
#include <algorithm>
#include <cctype>

#include "planner/preset_rules.h"
#include "planner/presets.h"

namespace pare {
namespace {

bool contains(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

}  // namespace

std::span<const Preset> all_presets() { return preset_rules::preset_table(); }

const Preset* find_preset(std::string_view name) {
  for (std::string_view family : {"Q3_K", "Q4_K", "Q5_K"})
    if (same_ignoring_case(name, family)) return find_preset(std::string(family) + "_M");
  for (const Preset& preset : all_presets())
    if (same_ignoring_case(preset.name, name)) return &preset;
  return nullptr;
}

PresetRole preset_role(std::string_view name) {
  struct Part {
    std::string_view text;
    PresetRole role;
  };
  static constexpr Part kParts[] = {
      {"attn_qkv.weight", PresetRole::kAttentionV},
      {"attn_kv_b.weight", PresetRole::kAttentionV},
      {"attn_v.weight", PresetRole::kAttentionV},
      {"attn_k.weight", PresetRole::kAttentionK},
      {"attn_q.weight", PresetRole::kAttentionQ},
      {"attn_output.weight", PresetRole::kAttentionOutput},
      {"ffn_up", PresetRole::kFfnUp},
      {"ffn_gate", PresetRole::kFfnGate},
      {"ffn_down", PresetRole::kFfnDown},
  };
  if (name == "output.weight") return PresetRole::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight")
    return PresetRole::kTokenEmbedding;
  for (const Part& part : kParts)
    if (contains(name, part.text)) return part.role;
  return PresetRole::kOther;
}

bool preset_quantizes(std::string_view name, const Shape& shape) {
  if (shape.rank() < 2 || shape.rows() < 2 || !name.ends_with("weight")) return false;
  return std::ranges::none_of(preset_rules::kept_name_parts(),
                              [&](std::string_view part) { return contains(name, part); });
}

}  // namespace pare

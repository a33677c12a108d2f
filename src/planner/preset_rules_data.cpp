// Facts, not taste: the choices of llama-quantize, checked against its published snapshots.
#include <array>
#include <string_view>

#include "planner/preset_rules.h"

namespace pare::preset_rules {
namespace {

using enum CodecId;
using enum Layers;

constexpr std::array kPresets = {
    Preset{"F32", 0, kF32},        Preset{"F16", 1, kF16},          Preset{"Q4_0", 2, kQ4_0},
    Preset{"Q4_1", 3, kQ4_1},      Preset{"Q8_0", 7, kQ8_0},        Preset{"Q5_0", 8, kQ5_0},
    Preset{"Q5_1", 9, kQ5_1},      Preset{"Q2_K", 10, kQ2_K},       Preset{"Q3_K_S", 11, kQ3_K},
    Preset{"Q3_K_M", 12, kQ3_K},   Preset{"Q3_K_L", 13, kQ3_K},     Preset{"Q4_K_S", 14, kQ4_K},
    Preset{"Q4_K_M", 15, kQ4_K},   Preset{"Q5_K_S", 16, kQ5_K},     Preset{"Q5_K_M", 17, kQ5_K},
    Preset{"Q6_K", 18, kQ6_K},     Preset{"IQ2_XXS", 19, kIQ2_XXS}, Preset{"IQ2_XS", 20, kIQ2_XS},
    Preset{"Q2_K_S", 21, kQ2_K},   Preset{"IQ3_XS", 22, kIQ3_S},    Preset{"IQ3_XXS", 23, kIQ3_XXS},
    Preset{"IQ1_S", 24, kIQ1_S},   Preset{"IQ4_NL", 25, kIQ4_NL},   Preset{"IQ3_S", 26, kIQ3_S},
    Preset{"IQ3_M", 27, kIQ3_S},   Preset{"IQ2_S", 28, kIQ2_XS},    Preset{"IQ2_M", 29, kIQ2_S},
    Preset{"IQ4_XS", 30, kIQ4_XS}, Preset{"IQ1_M", 31, kIQ1_M},     Preset{"BF16", 32, kBF16},
    Preset{"TQ1_0", 36, kTQ1_0},   Preset{"TQ2_0", 37, kTQ2_0},     Preset{"MXFP4_MOE", 38, kMXFP4},
    Preset{"NVFP4", 39, kNVFP4},   Preset{"Q1_0", 40, kQ1_0},       Preset{"Q2_0", 41, kQ2_0},
};
static_assert(kPresets.size() <= 64, "PresetSet has a bit for each");

consteval PresetSet of(std::initializer_list<std::string_view> names) {
  PresetSet set = 0;
  for (std::string_view name : names) {
    size_t i = 0;
    while (kPresets.at(i).name != name) ++i;  // an unknown name does not compile
    set |= PresetSet{1} << i;
  }
  return set;
}

consteval RoleSet roles(std::initializer_list<PresetRole> list) {
  RoleSet set = 0;
  for (PresetRole role : list) set |= static_cast<RoleSet>(1u << static_cast<unsigned>(role));
  return set;
}

constexpr PresetSet kAnyPreset = ~PresetSet{0};
constexpr PresetSet kIQ1 = of({"IQ1_S", "IQ1_M"});
constexpr PresetSet kIQ2Small = of({"IQ2_XXS", "IQ2_XS"});
constexpr PresetSet kIQ2Large = of({"IQ2_S", "IQ2_M"});
constexpr PresetSet kIQ1And2 = kIQ1 | kIQ2Small | kIQ2Large;
constexpr PresetSet kIQ4 = of({"IQ4_NL", "IQ4_XS"});
constexpr PresetSet kRest = kAnyPreset & ~kIQ1And2;

constexpr RoleSet kAnyRole = 0xffff;
constexpr RoleSet kOutput = roles({PresetRole::kOutput});
constexpr RoleSet kEmbedding = roles({PresetRole::kTokenEmbedding});
constexpr RoleSet kV = roles({PresetRole::kAttentionV});
constexpr RoleSet kK = roles({PresetRole::kAttentionK});
constexpr RoleSet kQAndK = roles({PresetRole::kAttentionQ, PresetRole::kAttentionK});
constexpr RoleSet kAttnOut = roles({PresetRole::kAttentionOutput});
constexpr RoleSet kDown = roles({PresetRole::kFfnDown});
constexpr RoleSet kGateAndUp = roles({PresetRole::kFfnGate, PresetRole::kFfnUp});

constexpr std::nullopt_t kBase = std::nullopt;

constexpr Rule kRules[] = {
    // The output matrix, or the embedding that serves as one.
    {of({"MXFP4_MOE"}), kOutput, kAll, 0, kQ8_0},
    {kAnyPreset, kOutput, kAll, kRowDoesNotDivide, kQ8_0},
    {kAnyPreset, kOutput, kAll, kFalcon, kQ8_0},
    {kIQ1And2 | of({"IQ3_XXS"}), kOutput, kAll, 0, kQ5_K},
    {of({"Q8_0"}), kOutput, kAll, 0, kQ8_0},
    {kAnyPreset, kOutput, kAll, 0, kQ6_K},

    {of({"MXFP4_MOE"}), kAnyRole, kAll, kStack, kMXFP4},
    {of({"MXFP4_MOE"}), kAnyRole, kAll, 0, kQ8_0},

    // An embedding with an output matrix beside it.
    {kIQ1 | kIQ2Small, kEmbedding, kAll, 0, kQ2_K},
    {kIQ2Large | of({"IQ3_XXS"}), kEmbedding, kAll, 0, kIQ3_S},
    {of({"TQ1_0", "TQ2_0", "Q2_0"}), kEmbedding, kAll, 0, kQ4_K},

    // The smallest file types: few exceptions, cheap ones.
    {kIQ1And2, kV, kAll, kGqa4OrExperts4, kQ4_K},
    {kIQ2Large, kV, kAll, 0, kIQ3_S},
    {kIQ1And2, kV, kAll, 0, kQ2_K},
    {kIQ1And2, kK, kAll, kExperts8, kQ4_K},
    {kIQ2Large, kDown, kFirst8th, 0, kIQ3_S},
    {kIQ1And2, kDown, kFirst8th, 0, kQ2_K},
    {kIQ1And2, kAttnOut, kAll, kExperts8, kQ5_K},
    {kIQ1, kAttnOut, kAll, 0, kIQ2_XXS},
    {kIQ2Large, kAttnOut, kAll, 0, kIQ3_S},

    // Values: small where heads share them, and sensitive.
    {kRest, kV, kAll, kExperts8, kQ8_0},
    {of({"Q2_K", "Q2_K_S"}), kV, kAll, kGqa4, kQ4_K},
    {of({"Q2_K"}), kV, kAll, 0, kQ3_K},
    {of({"IQ3_XXS", "IQ3_XS", "IQ3_S"}), kV, kAll, kGqa4, kQ4_K},
    {of({"IQ3_XXS"}), kV, kAll, kNoImatrix, kIQ3_S},
    {of({"IQ3_M"}), kV, kAll, 0, kQ4_K},
    {of({"Q3_K_M"}), kV, kFirst2, 0, kQ5_K},
    {of({"Q3_K_M"}), kV, kAll, 0, kQ4_K},
    {of({"Q3_K_L"}), kV, kAll, 0, kQ5_K},
    {kIQ4, kV, kAll, kGqa4, kQ5_K},
    {of({"Q4_K_M", "Q5_K_M"}), kV, kMore, 0, kQ6_K},
    {of({"Q4_K_S"}), kV, kFirst4, 0, kQ5_K},

    {kRest, kK, kAll, kExperts8, kQ8_0},
    {of({"IQ3_XS"}), kQAndK, kAll, 0, kIQ3_XXS},
    {of({"IQ3_XXS"}), kQAndK, kAll, 0, kIQ2_S},

    {of({"Q2_K"}), kDown, kAll, 0, kQ3_K},
    {of({"Q2_K_S"}), kDown, kFirst8th, 0, kQ4_K},
    {of({"IQ3_XXS"}), kDown, kFirst8th, kNoImatrix, kQ4_K},
    {of({"IQ3_XXS"}), kDown, kAll, kNoImatrix, kQ3_K},
    {of({"Q3_K_M"}), kDown, kFirst16th, 0, kQ5_K},
    {of({"Q3_K_M"}), kDown, kAll, kNotFalcon, kQ4_K},
    {of({"Q3_K_M"}), kDown, kMore, kFalcon, kQ4_K},
    {of({"IQ3_M"}), kDown, kFirst8th, 0, kQ4_K},
    {of({"IQ3_M"}), kDown, kMore, kExperts8, kQ4_K},
    {of({"Q3_K_L"}), kDown, kAll, kFalcon, kQ4_K},
    {of({"Q3_K_L"}), kDown, kAll, 0, kQ5_K},
    {of({"Q4_K_M"}), kDown, kFirst16th, kFalcon, kQ6_K},
    {of({"Q4_K_M"}), kDown, kMore, kFalcon, kQ5_K},
    {of({"Q4_K_M", "Q5_K_M"}), kDown, kMore, kNotFalcon, kQ6_K},
    {of({"Q5_K_M"}), kDown, kMore, kFalcon, kQ6_K},
    {kIQ4, kDown, kFirst8th, kNoImatrix, kQ5_K},
    {of({"Q4_K_S"}), kDown, kFirst8th, kNotFalcon, kQ5_K},
    {of({"Q4_0"}), kDown, kFirst8th, kImatrix, kQ4_1},
    {of({"Q5_0"}), kDown, kFirst8th, kImatrix, kQ5_1},

    {of({"Q3_K_L"}), kAttnOut, kAll, kFalcon, kQ4_K},
    {kRest, kAttnOut, kAll, kFalcon, kBase},
    {of({"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M",
         "IQ4_NL", "IQ4_XS"}),
     kAttnOut, kAll, kExperts8, kQ5_K},
    {kRest, kAttnOut, kAll, kExperts8, kBase},
    {of({"Q2_K"}), kAttnOut, kAll, 0, kQ3_K},
    {of({"IQ3_XXS"}), kAttnOut, kAll, 0, kIQ3_S},
    {of({"Q3_K_M", "IQ3_M"}), kAttnOut, kAll, 0, kQ4_K},
    {of({"Q3_K_L"}), kAttnOut, kAll, 0, kQ5_K},

    {of({"IQ3_XS"}), kGateAndUp, kMiddle, 0, kIQ3_XXS},
};

// In the order of the field's own list; a tensor is kept when its name holds one of these.
constexpr std::string_view kKeptNameParts[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

}  // namespace

std::span<const Preset> preset_table() { return kPresets; }
std::span<const Rule> rule_table() { return kRules; }
PresetSet smallest_presets() { return kIQ1And2; }
std::span<const std::string_view> kept_name_parts() { return kKeptNameParts; }

}  // namespace pare::preset_rules

// Gemma 3 (text): head norms, windows with a rope of their own in five of six blocks.
// Gemma team, "Gemma 3 technical report" (2025).
#include "model/arch/gemma.h"

namespace pare {
namespace {

constexpr GemmaTraits kTraits = {
    .arch = "gemma3",
    .window_period = 6,
    .default_window = 0,
    .head_norms = true,
    .local_rope = true,
    .wide_blocks = 62,
};

constexpr const char* kClasses[] = {"Gemma3ForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm", HfTransform::kAddOne},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm", HfTransform::kAddOne},
    {"blk.{}.attn_q", "layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "layers.{}.self_attn.q_norm", HfTransform::kAddOne},
    {"blk.{}.attn_k_norm", "layers.{}.self_attn.k_norm", HfTransform::kAddOne},
    {"blk.{}.attn_output", "layers.{}.self_attn.o_proj"},
    {"blk.{}.post_attention_norm", "layers.{}.post_attention_layernorm", HfTransform::kAddOne},
    {"blk.{}.ffn_norm", "layers.{}.pre_feedforward_layernorm", HfTransform::kAddOne},
    {"blk.{}.ffn_gate", "layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "layers.{}.mlp.down_proj"},
    {"blk.{}.post_ffw_norm", "layers.{}.post_feedforward_layernorm", HfTransform::kAddOne},
};

Status metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  return gemma_metadata_from_config(kTraits, config, keys);
}

Status config_from_metadata(const KeyReader& keys, const ModelDesc& desc, nlohmann::json* config) {
  return gemma_config_from_metadata(kTraits, keys, desc, config);
}

Result<ModelDesc> describe(const ArchInput& input) { return describe_gemma(kTraits, input); }

}  // namespace

extern const Architecture kGemma3;
const Architecture kGemma3 = {
    .name = "gemma3",
    .hf_classes = kClasses,
    .hf_model_type = "gemma3_text",
    .hf_prefix = "model.",
    .hf_tied_by_default = true,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = config_from_metadata,
    .describe = describe,
};

}  // namespace pare

// Gemma 2: soft-capped logits, windows in every other block.
// Gemma team, "Gemma 2: Improving open language models at a practical size" (2024).
#include "model/arch/gemma.h"

namespace pare {
namespace {

constexpr GemmaTraits kTraits = {
    .arch = "gemma2",
    .window_period = 2,
    .default_window = 4096,
    .head_norms = false,
    .local_rope = false,
    .wide_blocks = 46,
};

constexpr const char* kClasses[] = {"Gemma2ForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm", HfTransform::kAddOne},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm", HfTransform::kAddOne},
    {"blk.{}.attn_q", "layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "layers.{}.self_attn.v_proj"},
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

extern const Architecture kGemma2;
const Architecture kGemma2 = {
    .name = "gemma2",
    .hf_classes = kClasses,
    .hf_model_type = "gemma2",
    .hf_prefix = "model.",
    .hf_tied_by_default = true,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = config_from_metadata,
    .describe = describe,
};

}  // namespace pare

// Qwen3 (dense): Qwen2 with RMS norms on the heads of q and k instead of biases.
// Yang et al., "Qwen3 technical report" (2025).
#include "model/arch/qwen.h"

namespace pare {
namespace {

constexpr const char* kClasses[] = {"Qwen3ForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "layers.{}.self_attn.k_norm"},
    {"blk.{}.attn_output", "layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "layers.{}.mlp.down_proj"},
};

Status metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(qwen_metadata_from_config(config, keys));
  // Qwen3's heads are 128 wide where config.json does not say; not hidden size / heads.
  PARE_ASSIGN_OR_RETURN(const int64_t head_dim, config.integer({"head_dim"}, 128));
  keys->integer("attention.key_length", head_dim);
  keys->integer("attention.value_length", head_dim);
  return {};
}

Result<ModelDesc> describe(const ArchInput& input) {
  return describe_qwen(input, "qwen3", {.head_norms = true});
}

}  // namespace

extern const Architecture kQwen3;
const Architecture kQwen3 = {
    .name = "qwen3",
    .hf_classes = kClasses,
    .hf_model_type = "qwen3",
    .hf_prefix = "model.",
    .hf_tied_by_default = false,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = qwen_config_from_metadata,
    .describe = describe,
};

}  // namespace pare

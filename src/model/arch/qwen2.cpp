// Qwen2 and Qwen2.5: Llama's block with biases on q, k and v, and the halves form of rope.
// Yang et al., "Qwen2 technical report" (2024).
#include "model/arch/qwen.h"

namespace pare {
namespace {

constexpr const char* kClasses[] = {"Qwen2ForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "layers.{}.mlp.down_proj"},
};

Result<ModelDesc> describe(const ArchInput& input) {
  return describe_qwen(input, "qwen2",
                       {.bias = GraphBuilder::Bias::kRequired, .head_norms = false});
}

}  // namespace

extern const Architecture kQwen2;
const Architecture kQwen2 = {
    .name = "qwen2",
    .hf_classes = kClasses,
    .hf_model_type = "qwen2",
    .hf_prefix = "model.",
    .hf_tied_by_default = false,
    .names = kNames,
    .metadata_from_config = qwen_metadata_from_config,
    .config_from_metadata = qwen_config_from_metadata,
    .describe = describe,
};

}  // namespace pare

// Llama 1 to 3.x, Mistral, SmolLM2: pre-norm decoder, grouped queries, SwiGLU, interleaved rope.
// Touvron et al., "Llama 2" (2023); Jiang et al., "Mistral 7B" (2023).
#include "model/arch/common.h"

namespace pare {
namespace {

constexpr const char* kClasses[] = {"LlamaForCausalLM", "MistralForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "layers.{}.self_attn.q_proj", HfTransform::kRopeRowsQ},
    {"blk.{}.attn_k", "layers.{}.self_attn.k_proj", HfTransform::kRopeRowsK},
    {"blk.{}.attn_v", "layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "layers.{}.mlp.down_proj"},
};

Status metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(check_activation(config, {"hidden_act"}, {"silu", "swish"}));
  PARE_RETURN_IF_ERROR(write_common_keys(config, keys));
  PARE_ASSIGN_OR_RETURN(const int64_t vocabulary, config.integer({"vocab_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"hidden_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"num_attention_heads"}));
  PARE_ASSIGN_OR_RETURN(const int64_t head_dim, config.integer({"head_dim"}, width / heads));
  keys->integer("vocab_size", vocabulary);
  keys->integer("rope.dimension_count", head_dim);
  // Mistral 7B v0.1 has a window. llama.cpp ignores it, which is the same for shorter texts.
  PARE_ASSIGN_OR_RETURN(const std::string type, config.string("model_type", "llama"));
  return type == "mistral" ? write_window_keys(config, 0, keys) : Status();
}

Status config_from_metadata(const KeyReader& keys, const ModelDesc& desc, nlohmann::json* config) {
  PARE_RETURN_IF_ERROR(common_keys_to_config(keys, config));
  (*config)["hidden_act"] = "silu";
  if (keys.has("attention.sliding_window")) {
    (*config)["architectures"] = {"MistralForCausalLM"};
    (*config)["model_type"] = "mistral";
    return windows_to_config(keys, desc, 0, config);
  }
  const bool q_bias = has_tensor(desc, "attn_q.bias");
  if (q_bias != has_tensor(desc, "attn_output.bias")) {
    return unsupported("biases on some of attn_q and attn_output but not all, in a config.json");
  }
  (*config)["attention_bias"] = q_bias;
  (*config)["mlp_bias"] = has_tensor(desc, "ffn_up.bias");
  return {};
}

Result<ModelDesc> describe(const ArchInput& input) {
  const KeyReader keys(input.metadata, "llama");
  PARE_ASSIGN_OR_RETURN(const Hparams hparams,
                        read_hparams(input, keys, "attention.layer_norm_rms_epsilon"));
  PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> windows, read_windows(keys, hparams, 0));
  PARE_ASSIGN_OR_RETURN(const float scale, keys.real_or("attention.scale", 0.0f));

  GraphBuilder graph(input, "llama", hparams);
  graph.begin_prologue();
  graph.token_embedding();
  PARE_ASSIGN_OR_RETURN(const RopeParams rope, read_rope(keys, RopeLayout::kInterleaved, &graph));
  for (int b = 0; b < hparams.n_block; ++b) {
    graph.begin_block(b);
    ValueId x = graph.rms_norm(kStream, "attn_norm", Role::kAttentionNorm);
    graph.add_to_stream(graph.attention(
        x, {.rope = &rope, .scale = scale, .window = windows[static_cast<size_t>(b)]}));
    x = graph.rms_norm(kStream, "ffn_norm", Role::kFfnNorm);
    graph.add_to_stream(graph.ffn(x, {.activation = OpKind::kSilu}));
  }
  graph.begin_epilogue();
  graph.logits(graph.rms_norm(kStream, "output_norm", Role::kOutputNorm));
  return graph.finish();
}

}  // namespace

extern const Architecture kLlama;
const Architecture kLlama = {
    .name = "llama",
    .hf_classes = kClasses,
    .hf_model_type = "llama",
    .hf_prefix = "model.",
    .hf_tied_by_default = false,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = config_from_metadata,
    .describe = describe,
};

}  // namespace pare

// Phi-3, Phi-3.5 and Phi-4 (dense): Llama's block with q, k, v in one matrix and gate and up in
// one, LongRoPE for the long contexts. Abdin et al., "Phi-3 technical report" (2024).
#include "model/arch/common.h"

namespace pare {
namespace {

constexpr const char* kClasses[] = {"Phi3ForCausalLM"};

constexpr NameRule kNames[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "layers.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "layers.{}.self_attn.qkv_proj"},
    {"blk.{}.attn_output", "layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "layers.{}.mlp.gate_up_proj"},
    {"blk.{}.ffn_down", "layers.{}.mlp.down_proj"},
};

Status metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(check_activation(config, {"hidden_act"}, {"silu"}));
  PARE_RETURN_IF_ERROR(write_common_keys(config, keys));
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"hidden_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"num_attention_heads"}));
  PARE_ASSIGN_OR_RETURN(const int64_t context, config.integer({"max_position_embeddings"}));
  PARE_ASSIGN_OR_RETURN(const int64_t original,
                        config.integer({"original_max_position_embeddings"}, context));
  PARE_ASSIGN_OR_RETURN(const double rotated, config.number("partial_rotary_factor", 1.0));
  const auto dims = static_cast<int64_t>(rotated * static_cast<double>(width)) / heads;
  keys->integer("rope.scaling.original_context_length", original);
  keys->integer("rope.dimension_count", dims);
  PARE_RETURN_IF_ERROR(write_window_keys(config, 0, keys));
  // llama.cpp tells Phi-4 from Phi-3 by a window of zero.
  if (!config.has("sliding_window")) keys->integer("attention.sliding_window", 0);
  return {};
}

Status config_from_metadata(const KeyReader& keys, const ModelDesc& desc, nlohmann::json* config) {
  PARE_RETURN_IF_ERROR(common_keys_to_config(keys, config));
  const Hparams& h = desc.hparams;
  (*config)["hidden_act"] = "silu";
  (*config)["partial_rotary_factor"] = static_cast<double>(h.rope_dims) / h.head_dim;
  PARE_ASSIGN_OR_RETURN(
      const int64_t original,
      keys.integer_or("rope.scaling.original_context_length", h.n_context, 1, int64_t{1} << 31));
  (*config)["original_max_position_embeddings"] = original;
  return windows_to_config(keys, desc, 0, config);
}

Result<ModelDesc> describe(const ArchInput& input) {
  const KeyReader keys(input.metadata, "phi3");
  PARE_ASSIGN_OR_RETURN(const Hparams hparams,
                        read_hparams(input, keys, "attention.layer_norm_rms_epsilon"));
  PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> windows, read_windows(keys, hparams, 0));

  GraphBuilder graph(input, "phi3", hparams);
  graph.begin_prologue();
  graph.token_embedding();
  PARE_ASSIGN_OR_RETURN(const RopeParams rope, read_rope(keys, RopeLayout::kHalves, &graph));
  for (int b = 0; b < hparams.n_block; ++b) {
    graph.begin_block(b);
    ValueId x = graph.rms_norm(kStream, "attn_norm", Role::kAttentionNorm);
    graph.add_to_stream(graph.attention(
        x, {.fused_qkv = true, .rope = &rope, .window = windows[static_cast<size_t>(b)]}));
    x = graph.rms_norm(kStream, "ffn_norm", Role::kFfnNorm);
    graph.add_to_stream(
        graph.ffn(x, {.form = GraphBuilder::Ffn::Form::kFusedGateUp, .activation = OpKind::kSilu}));
  }
  graph.begin_epilogue();
  graph.logits(graph.rms_norm(kStream, "output_norm", Role::kOutputNorm));
  return graph.finish();
}

}  // namespace

extern const Architecture kPhi3;
const Architecture kPhi3 = {
    .name = "phi3",
    .hf_classes = kClasses,
    .hf_model_type = "phi3",
    .hf_prefix = "model.",
    .hf_tied_by_default = false,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = config_from_metadata,
    .describe = describe,
};

}  // namespace pare

#include "model/arch/qwen.h"

namespace pare {

Status qwen_metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(check_activation(config, {"hidden_act"}, {"silu"}));
  PARE_RETURN_IF_ERROR(write_common_keys(config, keys));
  PARE_ASSIGN_OR_RETURN(const bool windowed, config.boolean("use_sliding_window", false));
  if (!windowed) return {};
  if (!config.has("layer_types")) {
    return unsupported(
        "config.json: \"use_sliding_window\" needs \"layer_types\" to say which layers");
  }
  return write_window_keys(config, 0, keys);
}

Status qwen_config_from_metadata(const KeyReader& keys, const ModelDesc& desc,
                                 nlohmann::json* config) {
  PARE_RETURN_IF_ERROR(common_keys_to_config(keys, config));
  (*config)["hidden_act"] = "silu";
  (*config)["use_sliding_window"] = keys.has("attention.sliding_window");
  return windows_to_config(keys, desc, 0, config);
}

Result<ModelDesc> describe_qwen(const ArchInput& input, const char* arch,
                                GraphBuilder::Attention attention) {
  const KeyReader keys(input.metadata, arch);
  PARE_ASSIGN_OR_RETURN(const Hparams hparams,
                        read_hparams(input, keys, "attention.layer_norm_rms_epsilon"));
  PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> windows, read_windows(keys, hparams, 0));

  GraphBuilder graph(input, arch, hparams);
  graph.begin_prologue();
  graph.token_embedding();
  PARE_ASSIGN_OR_RETURN(const RopeParams rope, read_rope(keys, RopeLayout::kHalves, &graph));
  attention.rope = &rope;
  for (int b = 0; b < hparams.n_block; ++b) {
    graph.begin_block(b);
    ValueId x = graph.rms_norm(kStream, "attn_norm", Role::kAttentionNorm);
    attention.window = windows[static_cast<size_t>(b)];
    graph.add_to_stream(graph.attention(x, attention));
    x = graph.rms_norm(kStream, "ffn_norm", Role::kFfnNorm);
    graph.add_to_stream(graph.ffn(x, {.activation = OpKind::kSilu}));
  }
  graph.begin_epilogue();
  graph.logits(graph.rms_norm(kStream, "output_norm", Role::kOutputNorm));
  return graph.finish();
}

}  // namespace pare

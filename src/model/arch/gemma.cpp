#include "model/arch/gemma.h"

#include <cmath>

namespace pare {
namespace {

// What a file without attention.scale means: llama.cpp decides by the number of blocks.
float implied_scale(const GemmaTraits& traits, int64_t blocks, int64_t width, int64_t heads,
                    int64_t head_dim) {
  const int64_t scalar = blocks == traits.wide_blocks ? width / heads : head_dim;
  return 1.0f / std::sqrt(static_cast<float>(std::max<int64_t>(1, scalar)));
}

}  // namespace

Status gemma_metadata_from_config(const GemmaTraits& traits, const HfConfig& config,
                                  KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(check_activation(config, {"hidden_activation"}, {"gelu_pytorch_tanh"}));
  PARE_RETURN_IF_ERROR(write_common_keys(config, keys));
  PARE_ASSIGN_OR_RETURN(const int64_t head_dim, config.integer({"head_dim"}, 256));
  keys->integer("attention.key_length", head_dim);
  keys->integer("attention.value_length", head_dim);
  static constexpr std::pair<const char*, const char*> kSoftcaps[] = {
      {"attn_logit_softcapping", "attn_logit_softcapping"},
      {"final_logit_softcapping", "final_logit_softcapping"}};
  for (const auto& [from, to] : kSoftcaps) {
    if (!config.has(from)) continue;
    PARE_ASSIGN_OR_RETURN(const double softcap, config.number(from));
    keys->real(to, softcap);
  }
  PARE_RETURN_IF_ERROR(write_window_keys(config, traits.window_period, keys));

  PARE_ASSIGN_OR_RETURN(const int64_t scalar, config.integer({"query_pre_attn_scalar"}, 256));
  PARE_ASSIGN_OR_RETURN(const int64_t blocks, config.integer({"num_hidden_layers"}));
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"hidden_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"num_attention_heads"}));
  const float scale = 1.0f / std::sqrt(static_cast<float>(scalar));
  if (scale != implied_scale(traits, blocks, width, heads, head_dim)) {
    keys->real("attention.scale", scale);
  }
  return {};
}

Status gemma_config_from_metadata(const GemmaTraits& traits, const KeyReader& keys,
                                  const ModelDesc& desc, nlohmann::json* config) {
  PARE_RETURN_IF_ERROR(common_keys_to_config(keys, config));
  const Hparams& h = desc.hparams;
  (*config)["hidden_activation"] = "gelu_pytorch_tanh";
  (*config)["head_dim"] = h.head_dim;
  PARE_ASSIGN_OR_RETURN(const float scale,
                        keys.real_or("attention.scale", implied_scale(traits, h.n_block, h.n_embd,
                                                                      h.n_head, h.head_dim)));
  if (!(scale > 0.0f)) {
    return corrupt("metadata: {} is {}, expected a positive number", keys.key("attention.scale"),
                   scale);
  }
  (*config)["query_pre_attn_scalar"] = std::lround(1.0 / (double{scale} * scale));
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (!keys.has(key)) {
      (*config)[key] = nullptr;
      continue;
    }
    PARE_ASSIGN_OR_RETURN(const float softcap, keys.real(key));
    (*config)[key] = json_float(softcap);
  }
  return windows_to_config(keys, desc, traits.window_period, config);
}

Result<ModelDesc> describe_gemma(const GemmaTraits& traits, const ArchInput& input) {
  const KeyReader keys(input.metadata, traits.arch);
  PARE_ASSIGN_OR_RETURN(const Hparams hparams,
                        read_hparams(input, keys, "attention.layer_norm_rms_epsilon"));
  PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> windows,
                        read_windows(keys, hparams, traits.window_period, traits.default_window));
  PARE_ASSIGN_OR_RETURN(const float softcap, keys.real_or("attn_logit_softcapping", 0.0f));
  PARE_ASSIGN_OR_RETURN(const float final_softcap, keys.real_or("final_logit_softcapping", 0.0f));
  PARE_ASSIGN_OR_RETURN(
      const float scale,
      keys.real_or("attention.scale", implied_scale(traits, hparams.n_block, hparams.n_embd,
                                                    hparams.n_head, hparams.head_dim)));

  GraphBuilder graph(input, traits.arch, hparams);
  graph.begin_prologue();
  graph.token_embedding(std::sqrt(static_cast<float>(hparams.n_embd)));
  PARE_ASSIGN_OR_RETURN(const RopeParams rope, read_rope(keys, RopeLayout::kHalves, &graph));
  RopeParams local = rope;
  if (traits.local_rope) {
    PARE_ASSIGN_OR_RETURN(local, read_local_rope(keys, rope));
  }
  for (int b = 0; b < hparams.n_block; ++b) {
    const int64_t window = windows[static_cast<size_t>(b)];
    graph.begin_block(b);
    ValueId x = graph.rms_norm(kStream, "attn_norm", Role::kAttentionNorm);
    x = graph.attention(x, {.head_norms = traits.head_norms,
                            .rope = window > 0 ? &local : &rope,
                            .scale = scale,
                            .softcap = softcap,
                            .window = window});
    graph.add_to_stream(graph.rms_norm(x, "post_attention_norm", Role::kAttentionPostNorm));
    x = graph.rms_norm(kStream, "ffn_norm", Role::kFfnNorm);
    x = graph.ffn(x, {.activation = OpKind::kGeluTanh});
    graph.add_to_stream(graph.rms_norm(x, "post_ffw_norm", Role::kFfnPostNorm));
  }
  graph.begin_epilogue();
  graph.logits(graph.rms_norm(kStream, "output_norm", Role::kOutputNorm), final_softcap);
  return graph.finish();
}

}  // namespace pare

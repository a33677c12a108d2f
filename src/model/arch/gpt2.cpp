// GPT-2: layer norms, biases everywhere, embedded positions, q, k and v in one matrix.
// Radford et al., "Language models are unsupervised multitask learners" (2019).
#include "model/arch/common.h"

namespace pare {
namespace {

constexpr const char* kClasses[] = {"GPT2LMHeadModel"};

constexpr NameRule kNames[] = {
    {"token_embd", "wte"},
    {"position_embd", "wpe"},
    {"output_norm", "ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "h.{}.ln_1"},
    {"blk.{}.attn_qkv", "h.{}.attn.c_attn", HfTransform::kTranspose},
    {"blk.{}.attn_output", "h.{}.attn.c_proj", HfTransform::kTranspose},
    {"blk.{}.ffn_norm", "h.{}.ln_2"},
    {"blk.{}.ffn_up", "h.{}.mlp.c_fc", HfTransform::kTranspose},
    {"blk.{}.ffn_down", "h.{}.mlp.c_proj", HfTransform::kTranspose},
};

Status metadata_from_config(const HfConfig& config, KeyWriter* keys) {
  PARE_RETURN_IF_ERROR(check_activation(config, {"activation_function"}, {"gelu_new"}));
  for (const auto& [key, expected] :
       {std::pair("scale_attn_weights", true), std::pair("scale_attn_by_inverse_layer_idx", false),
        std::pair("add_cross_attention", false)}) {
    PARE_ASSIGN_OR_RETURN(const bool found, config.boolean(key, expected));
    if (found != expected) return unsupported("config.json: \"{}\" is {}", key, found);
  }
  PARE_ASSIGN_OR_RETURN(const int64_t blocks, config.integer({"n_layer"}));
  PARE_ASSIGN_OR_RETURN(const int64_t context, config.integer({"n_positions", "n_ctx"}));
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"n_embd"}));
  PARE_ASSIGN_OR_RETURN(const int64_t hidden, config.integer({"n_inner"}, 4 * width));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"n_head"}));
  PARE_ASSIGN_OR_RETURN(const double epsilon, config.number("layer_norm_epsilon", 1e-5));
  keys->integer("block_count", blocks);
  keys->integer("context_length", context);
  keys->integer("embedding_length", width);
  keys->integer("feed_forward_length", hidden);
  keys->integer("attention.head_count", heads);
  keys->real("attention.layer_norm_epsilon", epsilon);
  return {};
}

Status config_from_metadata(const KeyReader&, const ModelDesc& desc, nlohmann::json* config) {
  const Hparams& h = desc.hparams;
  config->update({{"n_layer", h.n_block},
                  {"n_positions", h.n_context},
                  {"n_ctx", h.n_context},
                  {"n_embd", h.n_embd},
                  {"n_inner", h.n_ff},
                  {"n_head", h.n_head},
                  {"layer_norm_epsilon", json_float(h.norm_eps)},
                  {"activation_function", "gelu_new"}});
  return {};
}

Result<ModelDesc> describe(const ArchInput& input) {
  using Bias = GraphBuilder::Bias;
  const KeyReader keys(input.metadata, "gpt2");
  PARE_ASSIGN_OR_RETURN(const Hparams hparams,
                        read_hparams(input, keys, "attention.layer_norm_epsilon"));
  GraphBuilder graph(input, "gpt2", hparams);
  graph.begin_prologue();
  graph.token_embedding();
  graph.position_embedding();
  for (int b = 0; b < hparams.n_block; ++b) {
    graph.begin_block(b);
    ValueId x = graph.layer_norm(kStream, "attn_norm", Role::kAttentionNorm);
    graph.add_to_stream(graph.attention(
        x, {.fused_qkv = true, .bias = Bias::kRequired, .output_bias = Bias::kRequired}));
    x = graph.layer_norm(kStream, "ffn_norm", Role::kFfnNorm);
    graph.add_to_stream(graph.ffn(x, {.form = GraphBuilder::Ffn::Form::kPlain,
                                      .activation = OpKind::kGeluTanh,
                                      .bias = Bias::kRequired}));
  }
  graph.begin_epilogue();
  graph.logits(graph.layer_norm(kStream, "output_norm", Role::kOutputNorm));
  return graph.finish();
}

}  // namespace

extern const Architecture kGpt2;
const Architecture kGpt2 = {
    .name = "gpt2",
    .hf_classes = kClasses,
    .hf_model_type = "gpt2",
    .hf_prefix = "transformer.",
    .hf_tied_by_default = true,
    .names = kNames,
    .metadata_from_config = metadata_from_config,
    .config_from_metadata = config_from_metadata,
    .describe = describe,
};

}  // namespace pare

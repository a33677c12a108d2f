#include "model/arch/builder.h"

#include <cmath>

namespace pare {

Result<Hparams> read_hparams(const ArchInput& input, const KeyReader& keys,
                             std::string_view eps_key) {
  if (keys.has("expert_count")) {
    PARE_ASSIGN_OR_RETURN(const int64_t experts, keys.integer("expert_count", 0));
    if (experts > 0) {
      return unsupported("metadata: {} is {}: mixtures of experts are not supported",
                         keys.key("expert_count"), experts);
    }
  }
  if (input.tensors.empty()) return not_found("no tensors: this is a vocabulary, not a model");
  Hparams h;
  // Every block has tensors: a file with fewer tensors than blocks is not worth a description.
  const auto most_blocks = static_cast<int64_t>(input.tensors.size());
  PARE_ASSIGN_OR_RETURN(h.n_block, keys.integer("block_count", 1, most_blocks));
  PARE_ASSIGN_OR_RETURN(h.n_embd, keys.integer("embedding_length"));
  PARE_ASSIGN_OR_RETURN(h.n_ff, keys.integer("feed_forward_length"));
  PARE_ASSIGN_OR_RETURN(h.n_context, keys.integer("context_length", 1, int64_t{1} << 31));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, keys.integer("attention.head_count", 1, 1 << 16));
  PARE_ASSIGN_OR_RETURN(const int64_t heads_kv,
                        keys.integer_or("attention.head_count_kv", heads, 1, heads));
  if (heads % heads_kv != 0) {
    return corrupt("metadata: {} heads cannot share {} key-value heads evenly", heads, heads_kv);
  }
  const int64_t width = std::max<int64_t>(1, h.n_embd / heads);
  constexpr int64_t kMaxHead = 1 << 16;
  PARE_ASSIGN_OR_RETURN(const int64_t head_dim,
                        keys.integer_or("attention.key_length", width, 1, kMaxHead));
  PARE_ASSIGN_OR_RETURN(const int64_t value_dim,
                        keys.integer_or("attention.value_length", width, 1, kMaxHead));
  PARE_ASSIGN_OR_RETURN(const int64_t rope_dims,
                        keys.integer_or("rope.dimension_count", head_dim, 1, head_dim));
  if (head_dim > kMaxHead || rope_dims % 2 != 0) {
    return corrupt("metadata: heads of {} with {} rotated columns are not possible", head_dim,
                   rope_dims);
  }
  h.n_head = static_cast<int>(heads);
  h.n_head_kv = static_cast<int>(heads_kv);
  h.head_dim = static_cast<int>(head_dim);
  h.value_dim = static_cast<int>(value_dim);
  h.rope_dims = static_cast<int>(rope_dims);
  PARE_ASSIGN_OR_RETURN(h.norm_eps, keys.real(eps_key));

  const TensorInfo* embedding = nullptr;
  bool output = false;
  for (const TensorInfo& tensor : input.tensors) {
    if (tensor.name == "token_embd.weight") embedding = &tensor;
    if (tensor.name == "output.weight") output = true;
  }
  if (embedding == nullptr) return not_found("tensor token_embd.weight is missing");
  h.n_vocab = embedding->shape.rank() == 2 ? embedding->shape[0] : 0;
  PARE_ASSIGN_OR_RETURN(const int64_t vocabulary, keys.integer_or("vocab_size", h.n_vocab));
  if (vocabulary != h.n_vocab) {
    return corrupt("tensor token_embd.weight is {}, expected {} rows ({})",
                   embedding->shape.to_string(), vocabulary, keys.key("vocab_size"));
  }
  if (vocabulary < 1) {
    return corrupt("tensor token_embd.weight is {}, expected a row for each token",
                   embedding->shape.to_string());
  }
  h.tied_output = !output;
  return h;
}

GraphBuilder::GraphBuilder(const ArchInput& input, std::string arch, const Hparams& hparams) {
  desc_.arch = std::move(arch);
  desc_.hparams = hparams;
  desc_.graph.blocks.resize(static_cast<size_t>(hparams.n_block));
  for (const TensorInfo& tensor : input.tensors) present_.insert(tensor.name);
}

void GraphBuilder::begin(OpList* ops, int block) {
  ops_ = ops;
  block_ = block;
  next_ = kStream + 1;
}

void GraphBuilder::begin_block(int block) {
  begin(&desc_.graph.blocks[static_cast<size_t>(block)], block);
}

ValueId GraphBuilder::emit(Op op) {
  const ValueId out = op.out;
  ops_->push_back(std::move(op));
  return out;
}

std::string GraphBuilder::full_name(std::string_view name) const {
  return block_ < 0 ? std::string(name) : fmt::format("blk.{}.{}", block_, name);
}

int32_t GraphBuilder::declare(std::string name, Role role, Shape shape, bool is_bias,
                              bool optional) {
  TensorDesc tensor{std::move(name), role, block_, shape, is_bias, optional, false};
  tensor.quantizable = shape.rank() == 2 && role != Role::kPositionEmbedding;
  desc_.tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(desc_.tensors.size()) - 1;
}

void GraphBuilder::token_embedding(float factor) {
  Op op{.kind = OpKind::kEmbedding};
  op.weight =
      declare("token_embd.weight", Role::kTokenEmbedding, {hparams().n_vocab, hparams().n_embd});
  op.attr.factor = factor;
  emit(std::move(op));
}

void GraphBuilder::position_embedding() {
  Op op{.kind = OpKind::kPositionEmbedding, .in = {kStream}};
  op.weight = declare("position_embd.weight", Role::kPositionEmbedding,
                      {hparams().n_context, hparams().n_embd});
  emit(std::move(op));
}

int32_t GraphBuilder::optional_tensor(std::string_view name, Role role, Shape shape) {
  if (!present(std::string(name))) return -1;
  return declare(std::string(name), role, shape, false, true);
}

ValueId GraphBuilder::rms_norm(ValueId in, std::string_view name, Role role, int head_dim) {
  Op op{.kind = OpKind::kRmsNorm, .out = next_++, .in = {in}};
  op.weight =
      declare(full_name(name) + ".weight", role, {head_dim > 0 ? head_dim : hparams().n_embd});
  op.attr.epsilon = hparams().norm_eps;
  op.attr.head_dim = head_dim;
  return emit(std::move(op));
}

ValueId GraphBuilder::layer_norm(ValueId in, std::string_view name, Role role) {
  Op op{.kind = OpKind::kLayerNorm, .out = next_++, .in = {in}};
  op.weight = declare(full_name(name) + ".weight", role, {hparams().n_embd});
  op.bias = declare(full_name(name) + ".bias", role, {hparams().n_embd}, true);
  op.attr.epsilon = hparams().norm_eps;
  return emit(std::move(op));
}

ValueId GraphBuilder::linear(ValueId in, int64_t in_width, std::string_view name, Role role,
                             int64_t out_width, Bias bias) {
  Op op{.kind = OpKind::kLinear, .out = next_++, .in = {in}};
  op.weight = declare(full_name(name) + ".weight", role, {out_width, in_width});
  const std::string bias_name = full_name(name) + ".bias";
  if (bias == Bias::kRequired || (bias == Bias::kIfPresent && present(bias_name))) {
    op.bias = declare(bias_name, role, {out_width}, true, bias == Bias::kIfPresent);
  }
  return emit(std::move(op));
}

ValueId GraphBuilder::slice(ValueId in, int64_t begin, int64_t width) {
  Op op{.kind = OpKind::kSlice, .out = next_++, .in = {in}};
  op.attr.begin = begin;
  op.attr.width = width;
  return emit(std::move(op));
}

ValueId GraphBuilder::rope(ValueId in, int heads, const RopeParams& params) {
  Op op{.kind = OpKind::kRope, .out = next_++, .in = {in}};
  op.attr.heads = heads;
  op.attr.head_dim = hparams().head_dim;
  op.attr.rope = params;
  return emit(std::move(op));
}

ValueId GraphBuilder::unary(OpKind kind, ValueId in, float factor) {
  Op op{.kind = kind, .out = next_++, .in = {in}};
  op.attr.factor = factor;
  return emit(std::move(op));
}

ValueId GraphBuilder::multiply(ValueId a, ValueId b) {
  return emit({.kind = OpKind::kMul, .out = next_++, .in = {a, b}});
}

void GraphBuilder::add_to_stream(ValueId in) {
  emit({.kind = OpKind::kAdd, .out = kStream, .in = {kStream, in}});
}

ValueId GraphBuilder::attention(ValueId in, const Attention& options) {
  const Hparams& h = hparams();
  const int64_t q_width = int64_t{h.n_head} * h.head_dim;
  const int64_t k_width = int64_t{h.n_head_kv} * h.head_dim;
  const int64_t v_width = int64_t{h.n_head_kv} * h.value_dim;
  ValueId q, k, v;
  if (options.fused_qkv) {
    const ValueId qkv =
        linear(in, h.n_embd, "attn_qkv", Role::kQkv, q_width + k_width + v_width, options.bias);
    q = slice(qkv, 0, q_width);
    k = slice(qkv, q_width, k_width);
    v = slice(qkv, q_width + k_width, v_width);
  } else {
    q = linear(in, h.n_embd, "attn_q", Role::kQ, q_width, options.bias);
    k = linear(in, h.n_embd, "attn_k", Role::kK, k_width, options.bias);
    v = linear(in, h.n_embd, "attn_v", Role::kV, v_width, options.bias);
  }
  if (options.head_norms) {
    q = rms_norm(q, "attn_q_norm", Role::kQNorm, h.head_dim);
    k = rms_norm(k, "attn_k_norm", Role::kKNorm, h.head_dim);
  }
  if (options.rope != nullptr) {
    q = rope(q, h.n_head, *options.rope);
    k = rope(k, h.n_head_kv, *options.rope);
  }
  Op op{.kind = OpKind::kAttention, .out = next_++, .in = {q, k, v}};
  op.attr.heads = h.n_head;
  op.attr.kv_heads = h.n_head_kv;
  op.attr.head_dim = h.head_dim;
  op.attr.value_dim = h.value_dim;
  op.attr.scale =
      options.scale != 0.0f ? options.scale : 1.0f / std::sqrt(static_cast<float>(h.head_dim));
  op.attr.softcap = options.softcap;
  op.attr.window = options.window;
  const ValueId mixed = emit(std::move(op));
  return linear(mixed, int64_t{h.n_head} * h.value_dim, "attn_output", Role::kAttentionOutput,
                h.n_embd, options.output_bias);
}

ValueId GraphBuilder::ffn(ValueId in, const Ffn& options) {
  const Hparams& h = hparams();
  ValueId hidden = kStream;
  switch (options.form) {
    case Ffn::Form::kGated: {
      const ValueId gate = linear(in, h.n_embd, "ffn_gate", Role::kFfnGate, h.n_ff, options.bias);
      const ValueId up = linear(in, h.n_embd, "ffn_up", Role::kFfnUp, h.n_ff, options.bias);
      hidden = multiply(unary(options.activation, gate), up);
      break;
    }
    case Ffn::Form::kFusedGateUp: {
      const ValueId both =
          linear(in, h.n_embd, "ffn_up", Role::kFfnGateUp, 2 * h.n_ff, options.bias);
      const ValueId gate = slice(both, 0, h.n_ff);
      const ValueId up = slice(both, h.n_ff, h.n_ff);
      hidden = multiply(unary(options.activation, gate), up);
      break;
    }
    case Ffn::Form::kPlain: {
      const ValueId up = linear(in, h.n_embd, "ffn_up", Role::kFfnUp, h.n_ff, options.bias);
      hidden = unary(options.activation, up);
      break;
    }
  }
  return linear(hidden, h.n_ff, "ffn_down", Role::kFfnDown, h.n_embd, options.bias);
}

void GraphBuilder::logits(ValueId in, float softcap) {
  Op op{.kind = OpKind::kLinear, .out = kStream, .in = {in}};
  if (hparams().tied_output) {
    op.weight = desc_.find("token_embd.weight");
  } else {
    op.weight = declare("output.weight", Role::kOutput, {hparams().n_vocab, hparams().n_embd});
    if (present("output.bias")) {
      op.bias = declare("output.bias", Role::kOutput, {hparams().n_vocab}, true, true);
    }
  }
  emit(std::move(op));
  if (softcap != 0.0f) {
    Op cap{.kind = OpKind::kSoftcap, .out = kStream, .in = {kStream}};
    cap.attr.factor = softcap;
    emit(std::move(cap));
  }
}

}  // namespace pare

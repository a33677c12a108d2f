#include "model/exec_torch/torch_model.h"

#include <algorithm>

#include "base/threads.h"
#include "codecs/codec.h"
#include "kernels/matmul.h"
#include "model/exec_torch/attention.h"
#include "model/exec_torch/torch_device.h"
#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_threads.h"

namespace pare {
namespace {

// Up to this many tokens, products are made by the kernels of the native engine.
constexpr int64_t kFewTokens = 64;

// Runs `body`, with torch's exceptions turned into Status.
template <typename Body>
auto guarded(const char* what, Body body) -> decltype(body()) {
  follow_thread_setting();
  return without_exceptions(what, body);
}

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double epsilon) {
  const torch::Tensor mean_square = x.square().mean(-1, true);
  return x * torch::rsqrt(mean_square + epsilon) * weight;
}

// Writes `piece` [n, length, dim] behind the first `filled` rows of `buffer`, which grows by
// doubling, and returns all rows.
torch::Tensor append(torch::Tensor& buffer, int64_t filled, int64_t capacity,
                     const torch::Tensor& piece) {
  const int64_t total = filled + piece.size(1);
  if (!buffer.defined() || buffer.size(1) < total) {
    const int64_t room = total <= capacity ? capacity : 2 * total;
    torch::Tensor larger = torch::empty({piece.size(0), room, piece.size(2)}, piece.options());
    if (buffer.defined()) larger.narrow(1, 0, filled).copy_(buffer.narrow(1, 0, filled));
    buffer = std::move(larger);
  }
  buffer.narrow(1, filled, piece.size(1)).copy_(piece);
  return buffer.narrow(1, 0, total);
}

}  // namespace

struct TorchModel::Piece {
  int block = -1;
  const TorchCache* before = nullptr;  // where the text begins
  TorchCache* cache = nullptr;         // what the block reads and extends
  int64_t first() const { return before == nullptr ? 0 : before->length; }
};

Result<std::unique_ptr<TorchModel>> TorchModel::create(std::shared_ptr<const Model> model,
                                                       const TorchOptions& options) {
  return guarded("preparing the model", [&]() -> Result<std::unique_ptr<TorchModel>> {
    set_torch_threads(options.threads > 0 ? options.threads : available_processors());
    std::unique_ptr<TorchModel> torch_model(new TorchModel());
    torch_model->model_ = std::move(model);
    torch_model->options_ = options;
    torch_model->ropes_ = RopeTables(options.device);
    return torch_model;
  });
}

Result<torch::Tensor> TorchModel::weight(int32_t tensor) {
  std::lock_guard lock(mutex_);
  if (auto found = overrides_.find(tensor); found != overrides_.end()) return found->second;
  if (auto found = decoded_.find(tensor); found != decoded_.end()) return found->second;
  const int64_t source = model_->source_index[static_cast<size_t>(tensor)];
  const TensorDesc& declared = desc().tensors[static_cast<size_t>(tensor)];
  if (source < 0) return not_found("{}: tensor {} is missing", model_->path, declared.name);
  const auto index = static_cast<size_t>(source);
  PARE_ASSIGN_OR_RETURN(const PackedTensor packed, model_->tensors->read(index));
  Result<torch::Tensor> decoded = decode_tensor(packed, device());
  model_->tensors->release(index);
  if (!decoded.ok()) return decoded.status().with_context(declared.name);
  decoded_bytes_ += decoded->nbytes();
  decoded_.emplace(tensor, *decoded);
  return decoded;
}

void TorchModel::override_weight(int32_t tensor, torch::Tensor value) {
  const TensorDesc& declared = desc().tensors[static_cast<size_t>(tensor)];
  PARE_CHECK(value.sizes() ==
                 torch::IntArrayRef(declared.shape.dims().data(), declared.shape.dims().size()),
             "an override has another shape than its tensor");
  std::lock_guard lock(mutex_);
  overrides_[tensor] = to_device(value, device());
}

void TorchModel::clear_override(int32_t tensor) {
  std::lock_guard lock(mutex_);
  overrides_.erase(tensor);
}

void TorchModel::release_block(int block) {
  std::lock_guard lock(mutex_);
  for (auto it = decoded_.begin(); it != decoded_.end();) {
    if (desc().tensors[static_cast<size_t>(it->first)].block == block) {
      decoded_bytes_ -= it->second.nbytes();
      it = decoded_.erase(it);
    } else {
      ++it;
    }
  }
}

void TorchModel::release_if_over_budget(int block) {
  // The blocks that fitted first are kept: dropping those would decode everything each time.
  std::lock_guard lock(mutex_);
  if (decoded_bytes_ > options_.keep_bytes) release_block(block);
}

Status TorchModel::check_stream(const torch::Tensor& stream) const {
  if (stream.dim() == 3 && stream.size(2) == desc().hparams.n_embd &&
      stream.scalar_type() == torch::kFloat32) {
    return {};
  }
  return invalid_argument("a stream of shape {}, expected float32 [batch, length, {}]",
                          fmt::join(stream.sizes().begin(), stream.sizes().end(), " x "),
                          desc().hparams.n_embd);
}

Result<torch::Tensor> TorchModel::prologue(const torch::Tensor& tokens, const TorchCache* cache) {
  return guarded("embedding tokens", [&]() -> Result<torch::Tensor> {
    if (tokens.dim() != 2 || tokens.scalar_type() != torch::kInt64 || tokens.numel() == 0) {
      return invalid_argument("tokens must be int64 [batch, length], and not empty");
    }
    const int64_t least = tokens.min().item<int64_t>(), most = tokens.max().item<int64_t>();
    if (least < 0 || most >= desc().hparams.n_vocab) {
      return invalid_argument("token {} is not in the vocabulary of {}", least < 0 ? least : most,
                              desc().hparams.n_vocab);
    }
    return run(desc().graph.prologue, tokens, nullptr, {-1, cache});
  });
}

Result<torch::Tensor> TorchModel::block(int index, const torch::Tensor& stream,
                                        const TorchHooks* hooks, TorchCache* cache) {
  return guarded("running a block", [&]() -> Result<torch::Tensor> {
    PARE_RETURN_IF_ERROR(check_stream(stream));
    auto result =
        run(desc().graph.blocks[static_cast<size_t>(index)], stream, hooks, {index, cache, cache});
    release_if_over_budget(index);
    return result;
  });
}

Result<torch::Tensor> TorchModel::epilogue(const torch::Tensor& stream, const TorchHooks* hooks) {
  return guarded("making logits", [&]() -> Result<torch::Tensor> {
    PARE_RETURN_IF_ERROR(check_stream(stream));
    auto result = run(desc().graph.epilogue, stream, hooks, {});
    release_if_over_budget(-1);
    return result;
  });
}

Result<torch::Tensor> TorchModel::run(const OpList& ops, torch::Tensor stream,
                                      const TorchHooks* hooks, const Piece& piece) {
  // When each value is read for the last time: it is freed then.
  std::vector<size_t> last_read;
  for (size_t i = 0; i < ops.size(); ++i) {
    for (ValueId in : ops[i].in) {
      const auto id = static_cast<size_t>(in);
      if (last_read.size() <= id) last_read.resize(id + 1, 0);
      last_read[id] = i;
    }
  }
  std::vector<torch::Tensor> values{std::move(stream)};
  for (size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    torch::Tensor out;
    if (op.kind == OpKind::kLinear && hooks != nullptr && op.weight == hooks->stop_at) {
      hooks->on_linear(op, values[static_cast<size_t>(op.in[0])], out);
      return out;
    }
    PARE_ASSIGN_OR_RETURN(out, run_op(op, values, piece));
    if (op.kind == OpKind::kLinear && hooks != nullptr && hooks->on_linear) {
      hooks->on_linear(op, values[static_cast<size_t>(op.in[0])], out);
    }
    for (ValueId in : op.in) {
      const auto id = static_cast<size_t>(in);
      if (in != kStream && last_read[id] == i) values[id] = torch::Tensor();
    }
    const auto id = static_cast<size_t>(op.out);
    if (values.size() <= id) values.resize(id + 1);
    values[id] = std::move(out);
  }
  return values[kStream];
}

Result<torch::Tensor> TorchModel::embedding(const Op& op, const torch::Tensor& tokens) {
  torch::Tensor rows;
  std::unique_lock lock(mutex_);
  const bool at_hand = overrides_.contains(op.weight) || decoded_.contains(op.weight);
  lock.unlock();
  if (at_hand) {
    PARE_ASSIGN_OR_RETURN(const torch::Tensor table, weight(op.weight));
    rows = torch::embedding(table, to_device(tokens, device()));
  } else {
    // Only the rows in use: a large vocabulary need not be decoded for a few tokens.
    const int64_t source = model_->source_index[static_cast<size_t>(op.weight)];
    PARE_ASSIGN_OR_RETURN(const PackedTensor packed,
                          model_->tensors->read(static_cast<size_t>(source)));
    const Codec& from = codec(packed.codec);
    if (from.decode_row == nullptr) return unsupported("{} cannot be decoded", from.name);
    const int64_t columns = packed.shape.columns();
    rows = torch::empty({tokens.size(0), tokens.size(1), columns});
    const torch::Tensor flat = tokens.contiguous();
    const int64_t* ids = flat.data_ptr<int64_t>();
    for (int64_t i = 0; i < flat.numel(); ++i) {
      from.decode_row(packed.row_bytes(ids[i], 1).data(), rows.data_ptr<float>() + i * columns,
                      columns);
    }
    rows = to_device(rows, device());
  }
  return op.attr.factor == 1.0f ? rows : rows * op.attr.factor;
}

Result<torch::Tensor> TorchModel::linear(const Op& op, const torch::Tensor& x) {
  torch::Tensor bias;
  if (op.bias >= 0) {
    PARE_ASSIGN_OR_RETURN(bias, weight(op.bias));
  }
  // A few tokens (text being sampled): the library's products would copy the whole weight into
  // the form that they like, which takes longer than multiplying. Ours read it as it is stored.
  const int64_t tokens = x.numel() / x.size(-1);
  if (device().is_cpu() && tokens <= kFewTokens && !torch::GradMode::is_enabled()) {
    std::unique_lock lock(mutex_);
    const bool overridden = overrides_.contains(op.weight);
    lock.unlock();
    const int64_t source = model_->source_index[static_cast<size_t>(op.weight)];
    if (!overridden && source >= 0) {
      PARE_ASSIGN_OR_RETURN(const PackedTensor packed,
                            model_->tensors->read(static_cast<size_t>(source)));
      // Quantized weights would round the activations: this executor is exact.
      if (codec(packed.codec).is_float() && check_matmul(packed).ok()) {
        thread_local ThreadPool alone(1);
        thread_local Activations activations(/*whole=*/true);
        const torch::Tensor rows = x.contiguous();
        std::vector<int64_t> sizes = x.sizes().vec();
        sizes.back() = packed.shape.rows();
        torch::Tensor y = torch::empty(sizes);
        activations.assign(rows.data_ptr<float>(), tokens, x.size(-1), x.size(-1));
        matmul(packed, activations, bias.defined() ? bias.data_ptr<float>() : nullptr,
               y.data_ptr<float>(), packed.shape.rows(), alone);
        return y;
      }
    }
  }
  PARE_ASSIGN_OR_RETURN(const torch::Tensor w, weight(op.weight));
  return torch::linear(x, w, bias);
}

Result<torch::Tensor> TorchModel::rope(const Op& op, const torch::Tensor& x, int64_t first) {
  std::unique_lock lock(mutex_);
  PARE_ASSIGN_OR_RETURN(RopeTable table,
                        ropes_.get(op.attr.rope, first + x.size(1),
                                   [this](int32_t tensor) { return weight(tensor); }));
  lock.unlock();
  if (first > 0) {
    table.cos = table.cos.narrow(0, first, x.size(1));
    table.sin = table.sin.narrow(0, first, x.size(1));
  }
  return apply_rope(x, op.attr.heads, op.attr.rope.layout, table);
}

Result<torch::Tensor> TorchModel::attention(const Op& op, const std::vector<torch::Tensor>& values,
                                            const Piece& piece) {
  torch::Tensor k = split_heads(values[static_cast<size_t>(op.in[1])], op.attr.kv_heads);
  torch::Tensor v = split_heads(values[static_cast<size_t>(op.in[2])], op.attr.kv_heads);
  if (piece.cache != nullptr) {
    TorchCache& cache = *piece.cache;
    const auto b = static_cast<size_t>(piece.block);
    if (cache.keys.size() <= b) {
      cache.keys.resize(desc().graph.blocks.size());
      cache.values.resize(desc().graph.blocks.size());
    }
    k = append(cache.keys[b], cache.length, cache.capacity, k);
    v = append(cache.values[b], cache.length, cache.capacity, v);
  }
  return causal_attention(values[static_cast<size_t>(op.in[0])], k, v, op.attr);
}

Result<torch::Tensor> TorchModel::run_op(const Op& op, const std::vector<torch::Tensor>& values,
                                         const Piece& piece) {
  if (op.kind == OpKind::kEmbedding) return embedding(op, values[kStream]);
  const torch::Tensor& x = values[static_cast<size_t>(op.in[0])];
  if (op.kind == OpKind::kLinear) return linear(op, x);
  const OpAttributes& attr = op.attr;
  torch::Tensor w, bias;
  if (op.weight >= 0) {
    PARE_ASSIGN_OR_RETURN(w, weight(op.weight));
  }
  if (op.bias >= 0) {
    PARE_ASSIGN_OR_RETURN(bias, weight(op.bias));
  }
  switch (op.kind) {
    case OpKind::kEmbedding:
    case OpKind::kLinear:
      break;
    case OpKind::kPositionEmbedding:
      if (piece.first() + x.size(1) > w.size(0)) {
        return invalid_argument("{} tokens, but the model has {} positions",
                                piece.first() + x.size(1), w.size(0));
      }
      return x + w.narrow(0, piece.first(), x.size(1));
    case OpKind::kRmsNorm: {
      if (attr.head_dim == 0) return rms_norm(x, w, attr.epsilon);
      const torch::Tensor heads = x.reshape({x.size(0), x.size(1), -1, attr.head_dim});
      return rms_norm(heads, w, attr.epsilon).reshape(x.sizes());
    }
    case OpKind::kLayerNorm:
      return torch::layer_norm(x, {x.size(2)}, w, bias, attr.epsilon);
    case OpKind::kSlice:
      return x.narrow(-1, attr.begin, attr.width);
    case OpKind::kRope:
      return rope(op, x, piece.first());
    case OpKind::kAttention:
      return attention(op, values, piece);
    case OpKind::kAdd:
      return x + values[static_cast<size_t>(op.in[1])];
    case OpKind::kMul:
      return x * values[static_cast<size_t>(op.in[1])];
    case OpKind::kSilu:
      return torch::silu(x);
    case OpKind::kGeluTanh:
      return torch::gelu(x, "tanh");
    case OpKind::kGeluErf:
      return torch::gelu(x);
    case OpKind::kScale:
      return x * attr.factor;
    case OpKind::kSoftcap:
      return torch::tanh(x / attr.factor) * attr.factor;
  }
  return internal_error("an operation that this executor does not know");
}

}  // namespace pare

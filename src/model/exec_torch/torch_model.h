// The graph on libtorch: float32, hooks at every linear operation, autograd if asked. Weights,
// streams and what hooks see are on one device.
//
// Weights come from a provider, are decoded when first needed and, unless they are kept, freed
// after their block: memory of about one block whatever the model's size. prologue, block and
// epilogue may run on several threads at once (each call with one torch thread is the fast way
// on few cores); weights must not be overridden meanwhile. Functions that touch torch turn its
// exceptions into Status.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "model/exec_torch/rope.h"
#include "model/exec_torch/torch.h"
#include "model/executor.h"
#include "model/open.h"

namespace pare {

struct TorchOptions {
  int threads = 0;  // 0: all processors
  // Decoded weights are kept while they fit in this; others are decoded again when needed.
  uint64_t keep_bytes = uint64_t{512} << 20;
  torch::Device device = torch::kCPU;
};

// Called after each linear operation (also the output matrix). `op.weight` tells which one;
// input is [batch * tokens, width] or [batch, tokens, width], as the op saw it.
struct TorchHooks {
  std::function<void(const Op& op, const torch::Tensor& input, torch::Tensor& output)> on_linear;
  // A weight whose product is not wanted: what runs ends there, after on_linear, and gives nothing.
  int32_t stop_at = -1;
};

// Keys and values of the tokens before, by block, for generation: pass the same cache with every
// piece of a text.
struct TorchCache {
  std::vector<torch::Tensor> keys, values;  // [batch * kv heads, capacity, head size]
  int64_t length = 0;                       // tokens before the present piece
  int64_t capacity = 0;                     // to begin with; grows
};

class TorchModel {
 public:
  // options.device: one that find_torch_device() gives.
  static Result<std::unique_ptr<TorchModel>> create(std::shared_ptr<const Model> model,
                                                    const TorchOptions& options = {});

  const ModelDesc& desc() const { return model_->desc; }
  const torch::Device& device() const { return options_.device; }

  // tokens: int64 [batch, length], of the CPU. Streams are float32 [batch, length, n_embd].
  Result<torch::Tensor> prologue(const torch::Tensor& tokens, const TorchCache* cache = nullptr);
  Result<torch::Tensor> block(int index, const torch::Tensor& stream,
                              const TorchHooks* hooks = nullptr, TorchCache* cache = nullptr);
  // Logits [batch, length, vocabulary].
  Result<torch::Tensor> epilogue(const torch::Tensor& stream, const TorchHooks* hooks = nullptr);

  // The float32 weight in use: decoded from the source, or the override.
  Result<torch::Tensor> weight(int32_t tensor);
  // Uses `value` (same shape, any device) instead of the source's weight, until cleared.
  void override_weight(int32_t tensor, torch::Tensor value);
  void clear_override(int32_t tensor);
  // Frees decoded weights of one block (-1: those outside blocks).
  void release_block(int block);

 private:
  TorchModel() = default;
  struct Piece;  // a block's place in a text that is run piece by piece
  Result<torch::Tensor> run(const OpList& ops, torch::Tensor stream, const TorchHooks* hooks,
                            const Piece& piece);
  Result<torch::Tensor> run_op(const Op& op, const std::vector<torch::Tensor>& values,
                               const Piece& piece);
  Result<torch::Tensor> attention(const Op& op, const std::vector<torch::Tensor>& values,
                                  const Piece& piece);
  Result<torch::Tensor> rope(const Op& op, const torch::Tensor& x, int64_t first);
  Result<torch::Tensor> linear(const Op& op, const torch::Tensor& x);
  Result<torch::Tensor> embedding(const Op& op, const torch::Tensor& tokens);
  Status check_stream(const torch::Tensor& stream) const;
  void release_if_over_budget(int block);

  std::shared_ptr<const Model> model_;
  TorchOptions options_;
  std::recursive_mutex mutex_;  // guards all below
  std::unordered_map<int32_t, torch::Tensor> decoded_, overrides_;
  uint64_t decoded_bytes_ = 0;
  RopeTables ropes_;
};

// A packed tensor, decoded to float32.
Result<torch::Tensor> decode_tensor(const PackedTensor& packed,
                                    const torch::Device& device = torch::kCPU);

// The same model as an Executor. The TorchModel is shared: overrides apply. concurrency: what
// Executor::concurrency() says.
std::unique_ptr<Executor> make_torch_executor(std::shared_ptr<TorchModel> model,
                                              int concurrency = 1);

}  // namespace pare

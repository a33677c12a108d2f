#include <cstring>

#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_model.h"

namespace pare {
namespace {

class TorchExecutor final : public Executor {
 public:
  TorchExecutor(std::shared_ptr<TorchModel> model, int concurrency)
      : model_(std::move(model)), concurrency_(concurrency) {}

  int concurrency() const override { return concurrency_; }

  int64_t vocabulary() const override { return model_->desc().hparams.n_vocab; }

  Status logits(std::span<const int32_t> tokens, int64_t first, std::span<float> out) override {
    const auto length = static_cast<int64_t>(tokens.size());
    if (first < 0 || first > length ||
        static_cast<int64_t>(out.size()) != (length - first) * vocabulary()) {
      return invalid_argument("logits of positions {} to {} need {} floats, not {}", first, length,
                              (length - first) * vocabulary(), out.size());
    }
    if (first == length) return {};
    try {
      const torch::NoGradGuard no_grad;
      const torch::Tensor ids =
          torch::tensor(std::vector<int64_t>(tokens.begin(), tokens.end())).unsqueeze(0);
      PARE_ASSIGN_OR_RETURN(torch::Tensor stream, model_->prologue(ids));
      for (size_t b = 0; b < model_->desc().graph.blocks.size(); ++b) {
        PARE_ASSIGN_OR_RETURN(stream, model_->block(static_cast<int>(b), stream));
      }
      // Norm and output matrix act on each position alone: only those asked for.
      PARE_ASSIGN_OR_RETURN(const torch::Tensor result,
                            model_->epilogue(stream.narrow(1, first, length - first)));
      std::memcpy(out.data(), result.contiguous().data_ptr<float>(), out.size_bytes());
      return {};
    } catch (const std::exception& error) {
      return torch_error("running the model", error);
    }
  }

 private:
  std::shared_ptr<TorchModel> model_;
  int concurrency_;
};

}  // namespace

std::unique_ptr<Executor> make_torch_executor(std::shared_ptr<TorchModel> model, int concurrency) {
  return std::make_unique<TorchExecutor>(std::move(model), concurrency);
}

}  // namespace pare

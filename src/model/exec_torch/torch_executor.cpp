#include <cstring>

#include "model/exec_torch/torch_device.h"
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
  int64_t width() const override { return model_->desc().hparams.n_embd; }

  Status run(std::span<const int32_t> tokens, int64_t first, std::span<float> hidden) override {
    const auto length = static_cast<int64_t>(tokens.size());
    if (first < 0 || first > length ||
        static_cast<int64_t>(hidden.size()) != (length - first) * width()) {
      return invalid_argument("hidden states of positions {} to {} need {} floats, not {}", first,
                              length, (length - first) * width(), hidden.size());
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
      const torch::Tensor wanted = stream.narrow(1, first, length - first).cpu().contiguous();
      std::memcpy(hidden.data(), wanted.data_ptr<float>(), hidden.size_bytes());
      return {};
    } catch (const std::exception& error) {
      return torch_error("running the model", error);
    }
  }

  Status project(std::span<const float> hidden, std::span<float> logits) override {
    const int64_t positions = static_cast<int64_t>(hidden.size()) / width();
    if (static_cast<int64_t>(hidden.size()) != positions * width() ||
        static_cast<int64_t>(logits.size()) != positions * vocabulary()) {
      return invalid_argument("{} floats of hidden states and {} of logits do not match",
                              hidden.size(), logits.size());
    }
    if (positions == 0) return {};
    try {
      const torch::NoGradGuard no_grad;
      const torch::Tensor stream = torch::from_blob(const_cast<float*>(hidden.data()),
                                                    {1, positions, width()}, torch::kFloat32);
      PARE_ASSIGN_OR_RETURN(const torch::Tensor result,
                            model_->epilogue(to_device(stream, model_->device())));
      const torch::Tensor here = result.cpu().contiguous();
      std::memcpy(logits.data(), here.data_ptr<float>(), logits.size_bytes());
      return {};
    } catch (const std::exception& error) {
      return torch_error("making logits", error);
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

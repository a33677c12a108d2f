#include <malloc.h>

#include <algorithm>
#include <map>

#include "calib/collect.h"
#include "calib/sample.h"
#include "compress/backend.h"
#include "methods/encode/block_encoder.h"
#include "model/exec_torch/block_cache.h"
#include "model/exec_torch/torch_device.h"
#include "search/refine.h"

namespace pare {
namespace {

// About what a device needs for a model's largest block, what is measured there and torch itself.
uint64_t device_bytes(const DeviceUse& use) {
  constexpr uint64_t kTorch = uint64_t{1} << 30;
  const ModelDesc& desc = *use.model;
  std::map<int, uint64_t> weights, moments;  // by block
  for (const TensorDesc& tensor : desc.tensors) {
    weights[tensor.block] += 4 * static_cast<uint64_t>(tensor.shape.elements());
  }
  uint64_t widest = 0;
  for (const Site& site : desc.sites) {
    const auto columns = static_cast<uint64_t>(site.width);
    moments[site.block] += 12 * columns * columns;  // as floats and as doubles
    widest = std::max(widest, columns);
  }
  const auto largest = [](const std::map<int, uint64_t>& sizes) {
    uint64_t most = 0;
    for (const auto& [block, bytes] : sizes) most = std::max(most, bytes);
    return most;
  };
  const auto streams = static_cast<uint64_t>(use.tokens * desc.hparams.n_embd) * 8;
  // Factoring one takes eight matrices of doubles.
  const uint64_t measured = use.calibrates ? largest(moments) + 64 * widest * widest : 0;
  return kTorch + 2 * largest(weights) + streams + measured;
}

class TorchBackend final : public Backend {
 public:
  Result<std::string> use_device(const std::string& name, const DeviceUse& use) override {
    std::string why;
    if (name == "auto") {
      device_ = choose_torch_device(device_bytes(use), &why);
      if (!why.empty()) why = fmt::format("on the CPU: {}", why);
      return why;
    }
    PARE_ASSIGN_OR_RETURN(device_, find_torch_device(name));
    return why;
  }

  Result<std::unique_ptr<Executor>> make_executor(std::shared_ptr<const Model> model,
                                                  ThreadPool& pool) override {
    // A GPU has room for what the CPU would decode for each window; there may be a second model.
    const uint64_t keep =
        device_.is_cpu() ? TorchOptions().keep_bytes : free_device_memory(device_) / 3;
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(std::move(model), keep));
    return make_torch_executor(std::move(torch_model), device_.is_cpu() ? pool.threads() : 1);
  }

  Result<CalibrationStats> calibrate(std::shared_ptr<const Model> model,
                                     const TokenWindows& windows, bool gradients, ThreadPool& pool,
                                     Progress& progress) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(std::move(model)));
    return collect_stats(*torch_model, windows, {.pivots = true, .gradients = gradients}, pool,
                         progress);
  }

  Result<TokenWindows> sample(std::shared_ptr<const Model> model, int64_t count, int64_t length,
                              int32_t bos, uint64_t seed, ThreadPool& pool,
                              Progress& progress) override {
    // Every token needs every weight: decoding them each time would take the most of the time.
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(model, sampling_bytes()));
    auto windows = sample_windows(*torch_model,
                                  {.windows = count, .length = length, .first = bos, .seed = seed},
                                  pool, progress);
    // The whole model has been read: its pages need not stay.
    for (size_t i = 0; i < model->tensors->tensors().size(); ++i) model->tensors->release(i);
    return windows;
  }

  Result<std::unique_ptr<Encoder>> make_encoder(std::shared_ptr<const Model> model,
                                                const Plan& plan, const CalibrationStats& stats,
                                                const TokenWindows& windows, ThreadPool& pool,
                                                Progress& progress) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(model));
    return std::unique_ptr<Encoder>(new BlockEncoder(std::move(torch_model), std::move(model), plan,
                                                     stats, windows, {}, pool, progress));
  }

  Result<Plan> refine(std::shared_ptr<const Model> model, const Plan& plan,
                      const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                      const TokenWindows& windows, const RefineOptions& options, ThreadPool& pool,
                      Progress& progress) override {
    return refine_plan(std::move(model), plan, table, stats, windows, options, torch_options(),
                       pool, progress);
  }

 private:
  // Of decoded weights while text is sampled; on a GPU, half of what is free.
  uint64_t sampling_bytes() const {
    return device_.is_cpu() ? uint64_t{6} << 30 : free_device_memory(device_) / 2;
  }

  // pare runs independent windows and rows on its own threads; torch and BLAS use one each. That is
  // faster for matrices of this size, and sums do not depend on the number of threads.
  TorchOptions torch_options() const { return {.threads = 1, .device = device_}; }

  Result<std::shared_ptr<TorchModel>> open(std::shared_ptr<const Model> model,
                                           uint64_t keep_bytes = TorchOptions().keep_bytes) const {
    TorchOptions options = torch_options();
    options.keep_bytes = keep_bytes;
    PARE_ASSIGN_OR_RETURN(auto torch_model, TorchModel::create(std::move(model), options));
    return std::shared_ptr<TorchModel>(std::move(torch_model));
  }

  torch::Device device_ = torch::kCPU;
};

}  // namespace

extern "C" Backend* pare_backend() {
#ifdef __GLIBC__
  // What is freed goes back to the system at once, or the heap grows to twice what is in use.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  install_block_cache();
  static TorchBackend backend;
  return &backend;
}

}  // namespace pare

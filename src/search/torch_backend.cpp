#include <dlfcn.h>

#include "calib/collect.h"
#include "compress/backend.h"
#include "methods/encode/block_encoder.h"
#include "search/refine.h"

namespace pare {
namespace {

// pare runs independent windows and rows on its own threads; torch and BLAS use one each. That
// is faster for matrices of this size, and sums do not depend on the number of threads.
void use_one_thread_per_call() {
  static const bool done = [] {
    at::set_num_threads(1);
    using SetThreads = void (*)(int);
    // Debian's torch calls whatever BLAS is installed; OpenBLAS has a pool of its own.
    if (void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
      reinterpret_cast<SetThreads>(symbol)(1);
    }
    return true;
  }();
  (void)done;
}

class TorchBackend final : public Backend {
 public:
  Result<std::unique_ptr<Executor>> make_executor(std::shared_ptr<const Model> model,
                                                  ThreadPool& pool) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(std::move(model), pool));
    return make_torch_executor(std::move(torch_model), pool.threads());
  }

  Result<CalibrationStats> calibrate(std::shared_ptr<const Model> model,
                                     const TokenWindows& windows, bool gradients, ThreadPool& pool,
                                     Progress& progress) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(std::move(model), pool));
    return collect_stats(*torch_model, windows, {.pivots = true, .gradients = gradients}, pool,
                         progress);
  }

  Result<std::unique_ptr<Encoder>> make_encoder(std::shared_ptr<const Model> model,
                                                const Plan& plan, const CalibrationStats& stats,
                                                const TokenWindows& windows, ThreadPool& pool,
                                                Progress& progress) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(model, pool));
    return std::unique_ptr<Encoder>(new BlockEncoder(std::move(torch_model), std::move(model), plan,
                                                     stats, windows, {}, pool, progress));
  }

  Result<Plan> refine(std::shared_ptr<const Model> model, const Plan& plan,
                      const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                      const TokenWindows& windows, const RefineOptions& options, ThreadPool& pool,
                      Progress& progress) override {
    PARE_ASSIGN_OR_RETURN(auto torch_model, open(model, pool));
    return refine_plan(std::move(torch_model), std::move(model), plan, table, stats, windows,
                       options, pool, progress);
  }

 private:
  static Result<std::shared_ptr<TorchModel>> open(std::shared_ptr<const Model> model,
                                                  ThreadPool& pool) {
    use_one_thread_per_call();
    PARE_ASSIGN_OR_RETURN(auto torch_model,
                          TorchModel::create(std::move(model), {.threads = pool.threads()}));
    return std::shared_ptr<TorchModel>(std::move(torch_model));
  }
};

}  // namespace

extern "C" Backend* pare_backend() {
  static TorchBackend backend;
  return &backend;
}

}  // namespace pare

// Teaches the planner's estimates what measuring says: the plan is carried out into a scratch
// file, each group of tensors (by role) is put alone into the original model, and the divergence
// that it causes is set against the divergence that was expected. The ratios scale the costs; the
// knapsack is solved again. Memory: one block, and the streams of the windows.
#pragma once

#include "calib/streams.h"
#include "compress/backend.h"
#include "model/exec_torch/torch_model.h"

namespace pare {

// Mean KL divergence of models from one that was run before, at some positions of each window.
class DivergenceMeter {
 public:
  // Runs `original` as it is now. It must go on as it is: its output matrix is used later.
  static Result<DivergenceMeter> make(std::shared_ptr<TorchModel> original,
                                      const TokenWindows& windows, ThreadPool& pool,
                                      Progress& progress);
  Result<double> measure(TorchModel& model, ThreadPool& pool, Progress& progress) const;

 private:
  std::shared_ptr<TorchModel> original_;
  TokenWindows windows_;
  Streams reference_;  // [1, positions, n_embd] after the last block
};

Result<Plan> refine_plan(std::shared_ptr<const Model> model, const Plan& plan,
                         const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                         const TokenWindows& windows, const RefineOptions& options,
                         const TorchOptions& torch_options, ThreadPool& pool, Progress& progress);

}  // namespace pare

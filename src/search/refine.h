// Teaches the planner's estimates what measuring says: the planned weights are made, each group
// of tensors (by role) is put alone into the original model, and the divergence that it causes
// is set against the divergence that was expected. The ratios scale the costs; the knapsack is
// solved again.
#pragma once

#include "compress/backend.h"
#include "model/exec_torch/torch_model.h"

namespace pare {

// Mean KL divergence of the model in its present state from `reference`.
class DivergenceMeter {
 public:
  // Runs the model as it is now and keeps its logits at some positions of each window.
  static Result<DivergenceMeter> make(TorchModel& model, const TokenWindows& windows,
                                      ThreadPool& pool, Progress& progress);
  Result<double> measure(TorchModel& model, ThreadPool& pool, Progress& progress) const;

 private:
  TokenWindows windows_;
  std::vector<torch::Tensor> reference_;  // by window: [positions, vocabulary]
};

Result<Plan> refine_plan(std::shared_ptr<TorchModel> torch_model,
                         std::shared_ptr<const Model> model, const Plan& plan,
                         const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                         const TokenWindows& windows, const RefineOptions& options,
                         ThreadPool& pool, Progress& progress);

}  // namespace pare

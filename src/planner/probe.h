// Candidates for every tensor: each type that fits, with exact bytes and the divergence that it
// is expected to cause. The search reads this table alone.
//
// The expected cost of an error dW in a weight is second order in the outputs that it changes:
//
//   KL per token ~ 1/2 sum_r g_r sum_c h_c dW_rc^2
//
// where g_r is the mean squared gradient of the loss at output row r (Fisher information of the
// outputs, diagonal) and h_c the mean squared input of column c, or, for error-compensated
// rounding, what is left of it after compensation (the pivots of the factored second moment).
// This is the K-FAC approximation (Martens and Grosse, arXiv 1503.05671) with a diagonal output
// factor. Without gradients the error is set against the energy of the outputs, and costs
// compare tensors only roughly.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "model/open.h"
#include "planner/plan.h"
#include "planner/stats.h"
#include "tensor/codec_id.h"

namespace pare {

struct Candidate {
  CodecId codec;
  Method method = Method::kRtn;
  uint64_t bytes = 0;  // in the file, padding included
  double cost = 0.0;   // expected mean KL per token
};

struct TensorCandidates {
  size_t tensor = 0;  // index into the source's tensors
  std::vector<Candidate> candidates;
};

struct ProbeOptions {
  std::vector<CodecId> codecs;  // to try; those that do not divide a row are left out for it
  // One per source tensor; a tensor with a choice gets that candidate alone.
  std::vector<std::optional<CodecId>> forced;
  bool gptq = true;           // weigh errors as they are after compensation, where pivots are known
  int64_t sample_rows = 384;  // of each matrix, as often as their outputs matter
};

// The types that the search tries by default.
std::vector<CodecId> default_candidates();

// One entry per source tensor, with exact bytes and costs of 0; no weight is read. Tensors that are
// not quantizable keep their form (1-D: F32).
Result<std::vector<TensorCandidates>> list_candidates(const Model& model,
                                                      const ProbeOptions& options);

// The same, with costs.
Result<std::vector<TensorCandidates>> probe_candidates(const Model& model,
                                                       const CalibrationStats& stats,
                                                       const ProbeOptions& options,
                                                       ThreadPool& pool, Progress& progress);

// What each column's squared error costs, and what all rows' gradients sum to: the two factors
// of the cost above. Also the importance that rounding should use. Empty if nothing is known.
struct ErrorWeights {
  std::vector<float> columns;
  double rows = 1.0;  // sum over rows of g_r
};
ErrorWeights error_weights(const Model& model, const CalibrationStats& stats, int32_t tensor,
                           bool gptq);

// The plan of least cost within the budget (bytes of the file). `scale` multiplies the costs of
// each source tensor (empty: all 1): what measuring has taught about the estimates.
Result<Plan> solve_plan(const Model& model, std::span<const TensorCandidates> table,
                        uint64_t budget_bytes, std::span<const double> scale);

// Sum of the expected costs of a plan's choices, by source tensor.
std::vector<double> plan_costs(const Plan& plan, std::span<const TensorCandidates> table);

}  // namespace pare

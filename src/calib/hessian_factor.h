// The factor of a site's second moment that error-compensating solvers walk along.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/status.h"
#include "base/threads.h"
#include "model/exec_torch/torch.h"

namespace pare {

struct FactorOptions {
  // Added to the diagonal, as a share of its mean: keeps the factor finite and the solver from
  // trusting directions that calibration hardly saw.
  double damping = 0.01;
};

// U, upper triangular, with U^T U = (H + damping)^-1 (Frantar et al., arXiv 2210.17323, section
// 3.3). Columns are solved block by block in their order (a format's groups are contiguous);
// inside a block those with the largest second moment go first ("act-order").
struct HessianFactor {
  static constexpr int64_t kBlock = 256;

  std::vector<int64_t> order;     // position in solving order -> column
  std::vector<float> pivot_cost;  // per column, 1 / U[k,k]^2: what a squared error costs once
                                  // the columns after it have compensated for it
  torch::Tensor upper;            // float32 [columns, columns], in solving order, of the CPU

  int64_t columns() const { return static_cast<int64_t>(order.size()); }

  // hessian: [columns, columns], the second moment of a site's input (any positive scale); it is
  // factored on its device.
  static Result<HessianFactor> make(const torch::Tensor& hessian,
                                    const FactorOptions& options = {});
};

// The factors of several sites, by the same keys, made at the same time.
Result<std::map<int32_t, HessianFactor>> make_factors(
    const std::map<int32_t, torch::Tensor>& hessians, const FactorOptions& options,
    ThreadPool& pool);

}  // namespace pare

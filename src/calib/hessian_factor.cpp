#include "calib/hessian_factor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_threads.h"

namespace pare {

Result<HessianFactor> HessianFactor::make(const torch::Tensor& hessian,
                                          const FactorOptions& options) {
  follow_thread_setting();
  try {
    torch::NoGradGuard no_grad;
    const int64_t n = hessian.size(0);
    torch::Tensor diagonal = hessian.diagonal().to(torch::kFloat64).cpu().contiguous();
    const double mean = diagonal.mean().item<double>();
    if (!std::isfinite(mean)) return invalid_argument("calibration statistics are not finite");

    HessianFactor factor;
    factor.order.resize(static_cast<size_t>(n));
    std::iota(factor.order.begin(), factor.order.end(), int64_t{0});
    const double* d = diagonal.data_ptr<double>();
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, n);
      std::stable_sort(factor.order.begin() + begin, factor.order.begin() + end,
                       [&](int64_t a, int64_t b) { return d[a] > d[b]; });
    }
    const torch::Tensor order =
        torch::from_blob(factor.order.data(), {n}, torch::kInt64).clone().to(hessian.device());
    torch::Tensor h = hessian.to(torch::kFloat64).index_select(0, order).index_select(1, order);
    // A site that calibration never reached has mean 0: any damping makes it plain rounding.
    const double scale = mean > 0.0 ? mean : 1.0;
    torch::Tensor upper;
    double damping = std::max(options.damping, 1e-8);
    for (int attempt = 0;; ++attempt) {
      torch::Tensor damped = h.clone();
      damped.diagonal().add_(damping * scale);
      auto [lower, info] = torch::linalg_cholesky_ex(damped);
      if (info.item<int>() == 0) {
        auto [u, info2] = torch::linalg_cholesky_ex(torch::cholesky_inverse(lower),
                                                    /*check_errors=*/false);
        if (info2.item<int>() == 0) {
          upper = u.transpose(0, 1).contiguous();
          break;
        }
      }
      if (attempt == 6) return internal_error("the Hessian could not be factored");
      damping *= 10.0;
    }
    factor.pivot_cost.resize(static_cast<size_t>(n));
    const torch::Tensor pivots = upper.diagonal().cpu().contiguous();
    const double* p = pivots.data_ptr<double>();
    for (int64_t k = 0; k < n; ++k) {
      factor.pivot_cost[static_cast<size_t>(factor.order[static_cast<size_t>(k)])] =
          static_cast<float>(1.0 / (p[k] * p[k]));
    }
    factor.upper = upper.to(torch::kFloat32).cpu();
    return factor;
  } catch (const std::exception& e) {
    return torch_error("factoring a Hessian", e);
  }
}

Result<std::map<int32_t, HessianFactor>> make_factors(
    const std::map<int32_t, torch::Tensor>& hessians, const FactorOptions& options,
    ThreadPool& pool) {
  std::vector<std::pair<int32_t, torch::Tensor>> items(hessians.begin(), hessians.end());
  std::vector<Result<HessianFactor>> made(items.size(), internal_error("not made"));
  const auto make = [&](size_t i) { made[i] = HessianFactor::make(items[i].second, options); };
  const bool on_cpu = items.empty() || items.front().second.is_cpu();
  // A GPU works on one at a time, and has memory for one at a time.
  for (size_t i = 0; !on_cpu && i < items.size(); ++i) make(i);
  if (on_cpu) pool.parallel_for(items.size(), make);
  std::map<int32_t, HessianFactor> factors;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!made[i].ok()) return made[i].status();
    factors.emplace(items[i].first, std::move(made[i]).value());
  }
  return factors;
}

}  // namespace pare

#include "model/exec_native/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pare {
namespace {

// The pair that turns `rotations` times within the original context (Peng et al., "YaRN", 2023,
// section 3.2).
double yarn_pair(const RopeParams& p, double rotations) {
  const auto context = static_cast<double>(p.original_context);
  return p.dims * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(static_cast<double>(p.base)));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeParams& p, const float* divisors) {
  std::vector<double> result(static_cast<size_t>(p.dims / 2));
  const bool yarn = p.scaling == RopeParams::Scaling::kYarn;
  const double low = yarn ? std::max(0.0, std::floor(yarn_pair(p, p.beta_fast))) : 0.0;
  const double high = yarn ? std::min(p.dims - 1.0, std::ceil(yarn_pair(p, p.beta_slow))) : 0.0;
  for (size_t i = 0; i < result.size(); ++i) {
    const auto pair = static_cast<double>(i);
    const double plain = std::pow(static_cast<double>(p.base), -2.0 * pair / p.dims);
    result[i] = plain / p.factor;
    if (yarn) {
      // Fast pairs keep their frequency, slow ones are interpolated.
      const double slow = std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
      result[i] = plain / p.factor * slow + plain * (1.0 - slow);
    }
    if (divisors != nullptr) result[i] /= divisors[i];
  }
  return result;
}

void RopeTable::set(int64_t first, int64_t count) {
  const auto n = frequencies_.size();
  cos_.resize(static_cast<size_t>(count) * n);
  sin_.resize(cos_.size());
  for (size_t t = 0; t < static_cast<size_t>(count); ++t) {
    const double position = static_cast<double>(first) + static_cast<double>(t);
    for (size_t i = 0; i < n; ++i) {
      const double angle = position * frequencies_[i];
      cos_[t * n + i] = static_cast<float>(std::cos(angle)) * factor_;
      sin_[t * n + i] = static_cast<float>(std::sin(angle)) * factor_;
    }
  }
}

}  // namespace pare

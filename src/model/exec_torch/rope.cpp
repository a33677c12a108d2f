#include "model/exec_torch/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/exec_torch/torch_device.h"

namespace pare {
namespace {

// The column pair that turns `rotations` times within the original context (YaRN, equation 17).
double yarn_pair(const RopeParams& p, double rotations) {
  const double context = static_cast<double>(p.original_context);
  return p.dims * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(static_cast<double>(p.base)));
}

std::vector<double> frequencies(const RopeParams& p) {
  std::vector<double> result(static_cast<size_t>(p.dims / 2));
  const double low = std::max(0.0, std::floor(yarn_pair(p, p.beta_fast)));
  const double high = std::min(p.dims - 1.0, std::ceil(yarn_pair(p, p.beta_slow)));
  for (size_t i = 0; i < result.size(); ++i) {
    const double pair = static_cast<double>(i);
    const double plain = std::pow(static_cast<double>(p.base), -2.0 * pair / p.dims);
    result[i] = plain / p.factor;
    if (p.scaling == RopeParams::Scaling::kYarn) {
      // Fast pairs keep their frequency, slow ones are interpolated.
      const double ramp = std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
      result[i] = plain / p.factor * ramp + plain * (1.0 - ramp);
    }
  }
  return result;
}

}  // namespace

Result<RopeTable> RopeTables::get(const RopeParams& params, int64_t length,
                                  const Divisors& divisors) {
  for (const Entry& entry : entries_) {
    if (entry.length == length && entry.params == params) return entry.table;
  }
  std::vector<double> frequency = frequencies(params);
  const bool beyond =
      params.scaling == RopeParams::Scaling::kLongRope && length > params.original_context;
  if (const int32_t tensor = beyond ? params.long_factors : params.factors; tensor >= 0) {
    PARE_ASSIGN_OR_RETURN(const torch::Tensor divisor, divisors(tensor));
    const torch::Tensor here = divisor.cpu();
    const float* values = here.data_ptr<float>();
    for (size_t i = 0; i < frequency.size(); ++i) frequency[i] /= values[i];
  }
  const auto pairs = static_cast<int64_t>(frequency.size());
  RopeTable table{torch::empty({length, pairs}), torch::empty({length, pairs})};
  float* cosines = table.cos.data_ptr<float>();
  float* sines = table.sin.data_ptr<float>();
  for (int64_t t = 0; t < length; ++t) {
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(t) * frequency[static_cast<size_t>(i)];
      cosines[t * pairs + i] = static_cast<float>(std::cos(angle)) * params.attention_factor;
      sines[t * pairs + i] = static_cast<float>(std::sin(angle)) * params.attention_factor;
    }
  }
  table.cos = to_device(table.cos, device_);
  table.sin = to_device(table.sin, device_);
  // A model has one or two kinds of rope; texts of a few lengths alternate at most.
  constexpr size_t kMost = 8;
  if (entries_.size() == kMost) entries_.erase(entries_.begin());
  entries_.push_back({params, length, table});
  return table;
}

torch::Tensor apply_rope(const torch::Tensor& x, int64_t heads, RopeLayout layout,
                         const RopeTable& table) {
  const int64_t batch = x.size(0), length = x.size(1), head_dim = x.size(2) / heads;
  const int64_t pairs = table.cos.size(1), dims = 2 * pairs;
  const torch::Tensor split = x.reshape({batch, length, heads, head_dim});
  const torch::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1);
  torch::Tensor first, second;
  if (layout == RopeLayout::kHalves) {
    first = split.narrow(3, 0, pairs);
    second = split.narrow(3, pairs, pairs);
  } else {
    first = split.slice(3, 0, dims, 2);
    second = split.slice(3, 1, dims, 2);
  }
  const torch::Tensor turned_first = first * cos - second * sin;
  const torch::Tensor turned_second = second * cos + first * sin;
  torch::Tensor turned;
  if (layout == RopeLayout::kHalves) {
    turned = torch::cat({turned_first, turned_second}, 3);
  } else {
    turned = torch::stack({turned_first, turned_second}, 4).flatten(3);
  }
  if (dims < head_dim) {
    turned = torch::cat({turned, split.narrow(3, dims, head_dim - dims)}, 3);
  }
  return turned.reshape({batch, length, heads * head_dim});
}

}  // namespace pare

// What calibration sums over windows: by lane, and then together.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "calib/streams.h"

namespace pare {

// [batch, tokens, width] as [batch * tokens, width].
inline torch::Tensor flat(const torch::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

// Sums kept by lane and added in lane order at the end, by some key.
class LaneSums {
 public:
  void add(int lane, int32_t key, const torch::Tensor& value) {
    torch::Tensor& sum = lanes_[static_cast<size_t>(lane)][key];
    if (sum.defined()) {
      sum.add_(value);
    } else {
      sum = value.clone();
    }
  }
  // sum += x^T x in the tiles on and above the diagonal; moments() fills in the others.
  void add_second_moment(int lane, int32_t key, const torch::Tensor& x) {
    torch::Tensor& sum = lanes_[static_cast<size_t>(lane)][key];
    const int64_t n = x.size(1);
    if (!sum.defined()) sum = torch::zeros({n, n}, x.options());
    const torch::Tensor transposed = x.transpose(0, 1);
    for (int64_t begin = 0; begin < n; begin += kMomentTile) {
      const int64_t count = std::min(kMomentTile, n - begin);
      sum.narrow(0, begin, count)
          .narrow(1, begin, n - begin)
          .addmm_(transposed.narrow(0, begin, count), x.narrow(1, begin, n - begin));
    }
  }
  // The totals of second moments, both triangles.
  std::map<int32_t, torch::Tensor> moments() const {
    auto sums = total();
    for (auto& [key, sum] : sums) {
      sum = sum.triu();
      sum = sum + sum.triu(1).transpose(0, 1);
    }
    return sums;
  }
  std::map<int32_t, torch::Tensor> total() const {
    std::map<int32_t, torch::Tensor> result;
    for (const auto& lane : lanes_) {
      for (const auto& [key, value] : lane) {
        torch::Tensor& sum = result[key];
        sum = sum.defined() ? sum + value.to(torch::kFloat64) : value.to(torch::kFloat64);
      }
    }
    return result;
  }

 private:
  // Second moments are symmetric: products are made by rows of tiles this wide.
  static constexpr int64_t kMomentTile = 256;
  std::map<int32_t, torch::Tensor> lanes_[kCalibrationLanes];
};

// weight index -> site index, for the sites of one block (-1: those outside blocks).
std::map<int32_t, int32_t> first_readers(const ModelDesc& desc, int block);

}  // namespace pare

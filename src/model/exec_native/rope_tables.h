// Rotary position embedding (Su et al., "RoFormer", 2021) with the scaling variants of RopeParams:
// cosines and sines of consecutive positions, one table for each kind of rope in a model.
#pragma once

#include <cstdint>
#include <vector>

#include "model/graph.h"

namespace pare {

// Radians per position of each pair. divisors: of the tensor that applies, one per pair, or null.
std::vector<double> rope_frequencies(const RopeParams& params, const float* divisors);

// cos and sin of positions [first, first + count), scaled by attention_factor.
class RopeTable {
 public:
  RopeTable(std::vector<double> frequencies, float attention_factor)
      : frequencies_(std::move(frequencies)), factor_(attention_factor) {}

  void set(int64_t first, int64_t count);
  int64_t pairs() const { return static_cast<int64_t>(frequencies_.size()); }
  const float* cos(int64_t i) const { return cos_.data() + i * pairs(); }  // of position first + i
  const float* sin(int64_t i) const { return sin_.data() + i * pairs(); }

 private:
  std::vector<double> frequencies_;
  float factor_;
  std::vector<float> cos_, sin_;
};

}  // namespace pare

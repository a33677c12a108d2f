// Rotary position embedding (Su et al., "RoFormer", 2021) with the scaling variants of RopeParams.
#pragma once

#include <functional>
#include <vector>

#include "base/status.h"
#include "model/exec_torch/torch.h"
#include "model/graph.h"

namespace pare {

struct RopeTable {
  torch::Tensor cos, sin;  // float32 [length, dims / 2], scaled by attention_factor
};

// Tables for positions [0, length). Made once for each kind of rope, not once for each block.
class RopeTables {
 public:
  explicit RopeTables(const torch::Device& device = torch::kCPU) : device_(device) {}

  // `divisors` gives the values of a tensor of rope factors.
  using Divisors = std::function<Result<torch::Tensor>(int32_t tensor)>;
  Result<RopeTable> get(const RopeParams& params, int64_t length, const Divisors& divisors);

 private:
  struct Entry {
    RopeParams params;
    int64_t length;
    RopeTable table;
  };
  torch::Device device_;
  std::vector<Entry> entries_;
};

// x: [batch, length, heads * head_dim]; the first 2 * (columns of the table) of each head turn.
torch::Tensor apply_rope(const torch::Tensor& x, int64_t heads, RopeLayout layout,
                         const RopeTable& table);

}  // namespace pare

// The multiple-choice knapsack, exactly: one candidate for each item, least total cost, total
// bytes within a budget.
//
// Method: the Lagrangian relaxation gives a multiplier and a bound (Sinha and Zoltners 1979);
// then the list of undominated partial sums is carried from item to item (Nemhauser and Ullmann
// 1969), dropping each that the bound shows cannot beat the best solution known. Deterministic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace pare {

struct Choice {
  uint64_t bytes = 0;
  double cost = 0.0;  // >= 0
};

struct KnapsackResult {
  std::vector<size_t> chosen;  // per item, index into its choices
  uint64_t bytes = 0;
  double cost = 0.0;
  // The optimum is at least this; equal to `cost` (up to rounding) when proven optimal.
  double lower_bound = 0.0;
};

// Fails if even the smallest choices exceed the budget (the message says by how much), or if an
// item has no choice.
Result<KnapsackResult> solve_knapsack(std::span<const std::vector<Choice>> items, uint64_t budget);

}  // namespace pare

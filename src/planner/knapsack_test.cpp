#include "planner/knapsack.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/rng.h"

namespace pare {
namespace {

// All combinations, for instances small enough.
double brute_force(const std::vector<std::vector<Choice>>& items, uint64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<size_t> at(items.size(), 0);
  for (;;) {
    uint64_t bytes = 0;
    double cost = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      bytes += items[i][at[i]].bytes;
      cost += items[i][at[i]].cost;
    }
    if (bytes <= budget) best = std::min(best, cost);
    size_t i = 0;
    while (i < items.size() && ++at[i] == items[i].size()) at[i++] = 0;
    if (i == items.size()) return best;
  }
}

TEST(Knapsack, AgreesWithAllCombinations) {
  Rng rng(7);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<std::vector<Choice>> items(2 + rng.below(6));
    uint64_t low = 0, high = 0;
    for (auto& choices : items) {
      const uint64_t n = 1 + rng.below(5);
      uint64_t least = ~uint64_t{0}, most = 0;
      for (uint64_t j = 0; j < n; ++j) {
        // Not convex, sometimes dominated, sometimes equal: all that real tables do.
        choices.push_back({1 + rng.below(40), static_cast<double>(rng.below(100)) / 7.0});
        least = std::min(least, choices.back().bytes);
        most = std::max(most, choices.back().bytes);
      }
      low += least;
      high += most;
    }
    const uint64_t budget = low + rng.below(high - low + 2);
    auto solved = solve_knapsack(items, budget);
    ASSERT_TRUE(solved.ok()) << solved.status().message();
    EXPECT_LE(solved->bytes, budget);
    EXPECT_NEAR(solved->cost, brute_force(items, budget), 1e-9) << "trial " << trial;
    EXPECT_NEAR(solved->lower_bound, solved->cost, 1e-9);
    uint64_t bytes = 0;
    double cost = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      bytes += items[i][solved->chosen[i]].bytes;
      cost += items[i][solved->chosen[i]].cost;
    }
    EXPECT_EQ(bytes, solved->bytes);
    EXPECT_NEAR(cost, solved->cost, 1e-9);
  }
}

TEST(Knapsack, SolvesTheSizeOfARealModel) {
  Rng rng(3);
  std::vector<std::vector<Choice>> items(600);
  uint64_t budget = 0;
  for (auto& choices : items) {
    const uint64_t blocks = 2304 * (1 + rng.below(40));
    const double sensitivity = 0.01 + rng.uniform();
    for (uint64_t bits : {84, 110, 136, 144, 176, 210, 272}) {
      choices.push_back({blocks * bits, sensitivity * static_cast<double>(blocks) *
                                            std::exp2(-0.06 * static_cast<double>(bits)) *
                                            (0.9 + 0.2 * rng.uniform())});
    }
    budget += blocks * 150;
  }
  auto solved = solve_knapsack(items, budget);
  ASSERT_TRUE(solved.ok());
  EXPECT_LE(solved->bytes, budget);
  EXPECT_GE(static_cast<double>(solved->bytes), 0.999 * static_cast<double>(budget));
  EXPECT_LE(solved->cost, solved->lower_bound * (1 + 1e-4));
}

TEST(Knapsack, SaysWhatDoesNotFit) {
  const std::vector<std::vector<Choice>> items = {{{10, 1.0}, {20, 0.0}}, {{5, 0.0}}};
  auto solved = solve_knapsack(items, 14);
  ASSERT_FALSE(solved.ok());
  EXPECT_NE(solved.status().message().find("1 too many"), std::string::npos);
  EXPECT_FALSE(solve_knapsack(std::vector<std::vector<Choice>>{{}}, 14).ok());
}

}  // namespace
}  // namespace pare

#include "base/rng.h"

#include <gtest/gtest.h>

#include <vector>

namespace pare {
namespace {

TEST(Rng, GivesTheSequenceOfTheReference) {
  // SplitMix64 from state 1234567, as published with the algorithm.
  Rng rng(1234567);
  EXPECT_EQ(rng.next(), 6457827717110365317u);
  EXPECT_EQ(rng.next(), 3203168211198807973u);
  EXPECT_EQ(rng.next(), 9817491932198370423u);
}

TEST(Rng, BelowIsUniformAndBounded) {
  Rng rng(1);
  std::vector<int> counts(7);
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t value = rng.below(7);
    ASSERT_LT(value, 7u);
    ++counts[value];
  }
  for (int n : counts) EXPECT_NEAR(n, kDraws / 7, 500);  // five standard deviations
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, NormalHasTheRightMoments) {
  Rng rng(2);
  constexpr int kDraws = 100000;
  double sum = 0.0, sum2 = 0.0, sum4 = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    sum2 += x * x;
    sum4 += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.016);
  EXPECT_NEAR(sum2 / kDraws, 1.0, 0.023);
  EXPECT_NEAR(sum4 / kDraws, 3.0, 0.16);
}

}  // namespace
}  // namespace pare

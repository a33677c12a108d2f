#include "eval/compare.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pare {
namespace {

// Logits that depend on the position and the last token only: easy to score by hand.
class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(float tilt) : tilt_(tilt) {}
  int64_t vocabulary() const override { return 3; }
  int64_t width() const override { return 1; }
  Status run(std::span<const int32_t> tokens, int64_t first, std::span<float> hidden) override {
    for (size_t t = static_cast<size_t>(first); t < tokens.size(); ++t) {
      hidden[t - static_cast<size_t>(first)] = static_cast<float>(tokens[t]);
    }
    return {};
  }
  Status project(std::span<const float> hidden, std::span<float> logits) override {
    EXPECT_EQ(logits.size(), hidden.size() * 3);
    for (size_t i = 0; i < hidden.size(); ++i) {
      logits[3 * i] = 1.0f + tilt_;
      logits[3 * i + 1] = hidden[i];
      logits[3 * i + 2] = -1.0f;
    }
    return {};
  }

 private:
  float tilt_;
};

TEST(ScorePosition, MatchesTheDefinition) {
  const float p[3] = {1.0f, 2.0f, -1.0f}, q[3] = {0.5f, 2.5f, 0.0f};
  double zp = 0, zq = 0, kl = 0;
  for (int i = 0; i < 3; ++i) zp += std::exp(p[i]), zq += std::exp(q[i]);
  for (int i = 0; i < 3; ++i) {
    const double lp = p[i] - std::log(zp), lq = q[i] - std::log(zq);
    kl += std::exp(lp) * (lp - lq);
  }
  const PositionScore s = score_position(q, p, 3, 2);
  EXPECT_NEAR(s.kl, kl, 1e-6);
  EXPECT_NEAR(s.nll, std::log(zq) - q[2], 1e-6);
  EXPECT_NEAR(s.baseline_nll, std::log(zp) - p[2], 1e-6);
  EXPECT_TRUE(s.same_top1);
}

TEST(Windows, CutTheTextAndPutBos) {
  std::vector<int32_t> tokens(17);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
  auto windows = make_windows(tokens, {.context = 8, .chunks = 0, .bos = 99});
  ASSERT_TRUE(windows.ok());
  ASSERT_EQ(windows->size(), 2u);  // the 17th token is dropped
  EXPECT_EQ((*windows)[1][0], 99);
  EXPECT_EQ((*windows)[1][1], 9);
  EXPECT_FALSE(make_windows(tokens, {.context = 18}).ok());
  EXPECT_FALSE(make_windows(tokens, {.context = 2}).ok());
}

TEST(Evaluate, ScoresTheSecondHalfOnTheNextToken) {
  FakeExecutor model(0.0f);
  ThreadPool pool(2);
  // Positions 4, 5, 6 of 8 are scored on tokens 5, 6, 7.
  const std::vector<std::vector<int32_t>> windows = {{0, 0, 0, 0, 1, 0, 2, 1}};
  auto result = evaluate(model, nullptr, windows, pool);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->positions, 3);
  const auto nll = [](float token, int next) {
    const double row[3] = {1.0, token, -1.0};
    return std::log(std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2])) - row[next];
  };
  const double mean = (nll(1, 0) + nll(0, 2) + nll(2, 1)) / 3.0;
  EXPECT_NEAR(result->perplexity.value, std::exp(mean), 1e-6);
}

TEST(Evaluate, TheSameModelHasNoDivergence) {
  FakeExecutor a(0.0f), b(0.0f), c(3.0f);
  ThreadPool pool(1);
  const std::vector<std::vector<int32_t>> windows = {{0, 1, 2, 0, 1, 2, 0, 1},
                                                     {2, 1, 0, 2, 1, 0, 2, 1}};
  auto same = evaluate(a, &b, windows, pool);
  ASSERT_TRUE(same.ok());
  EXPECT_NEAR(same->mean_kl.value, 0.0, 1e-9);
  EXPECT_EQ(same->same_top1.value, 1.0);
  auto other = evaluate(c, &a, windows, pool);
  ASSERT_TRUE(other.ok());
  EXPECT_GT(other->mean_kl.value, 0.05);
  EXPECT_LT(other->same_top1.value, 1.0);
  EXPECT_EQ(other->chunk_kl.size(), 2u);
  EXPECT_GE(other->p99_kl, other->median_kl);
}

}  // namespace
}  // namespace pare

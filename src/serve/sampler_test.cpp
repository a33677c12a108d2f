#include "serve/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace pare {
namespace {

// Everything on: each test takes away what it is not about.
SamplerOptions plain() {
  return {.temperature = 1.0f, .top_k = 0, .top_p = 1.0f, .min_p = 0.0f, .seed = 3};
}

std::map<int32_t, double> shares(const SamplerOptions& options, const std::vector<float>& logits,
                                 const std::vector<int32_t>& history = {}) {
  Sampler sampler(options);
  std::map<int32_t, double> share;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const auto token = sampler.pick(logits, history);
    EXPECT_TRUE(token.ok());
    share[*token] += 1.0 / kDraws;
  }
  return share;
}

// Probabilities 0.5, 0.25, 0.125, 0.125.
const std::vector<float> kLogits = {std::log(0.25f), std::log(0.5f), std::log(0.125f),
                                    std::log(0.125f)};

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheLikeliest) {
  Sampler sampler({.temperature = 0.0f});
  EXPECT_EQ(*sampler.pick(std::vector<float>{-1.0f, 2.0f, 2.0f, 0.0f}, {}), 1);
}

TEST(Sampler, FollowsTheDistribution) {
  const auto share = shares(plain(), kLogits);
  EXPECT_NEAR(share.at(1), 0.5, 0.02);
  EXPECT_NEAR(share.at(0), 0.25, 0.02);
  EXPECT_NEAR(share.at(2), 0.125, 0.02);
  SamplerOptions hot = plain();
  hot.temperature = 2.0f;  // probabilities to the power of 1/2
  const double total = std::sqrt(0.5) + 0.5 + 2 * std::sqrt(0.125);
  EXPECT_NEAR(shares(hot, kLogits).at(1), std::sqrt(0.5) / total, 0.02);
}

TEST(Sampler, KeepsTheTop) {
  SamplerOptions options = plain();
  options.top_k = 2;
  EXPECT_EQ(shares(options, kLogits).size(), 2u);
  EXPECT_NEAR(shares(options, kLogits).at(1), 2.0 / 3.0, 0.02);
  options.top_k = 3;  // of equals the lowest id
  EXPECT_EQ(shares(options, kLogits).count(3), 0u);
  options = plain();
  options.top_p = 0.74f;
  EXPECT_EQ(shares(options, kLogits).size(), 2u);
  options.top_p = 0.4f;
  EXPECT_EQ(shares(options, kLogits).size(), 1u);
  options = plain();
  options.min_p = 0.4f;
  EXPECT_EQ(shares(options, kLogits).size(), 2u);
  options.min_p = 1.0f;
  EXPECT_EQ(shares(options, kLogits).size(), 1u);
}

TEST(Sampler, PenalizesRecentTokens) {
  SamplerOptions options{.temperature = 0.0f, .repeat_penalty = 2.0f, .repeat_last = 2};
  const std::vector<float> logits = {3.0f, 4.0f, -1.0f};
  EXPECT_EQ(*Sampler(options).pick(logits, std::vector<int32_t>{1}), 0);
  EXPECT_EQ(*Sampler(options).pick(logits, std::vector<int32_t>{1, 1, 0, 0}), 1);
  // A repeated token is penalized once.
  EXPECT_EQ(*Sampler(options).pick(std::vector<float>{4.0f, 1.5f}, std::vector<int32_t>{0, 0}), 0);
  const std::vector<float> negative = {-1.0f, -1.5f};
  EXPECT_EQ(*Sampler(options).pick(negative, std::vector<int32_t>{0}), 1);
}

TEST(Sampler, TheSeedDecides) {
  const auto draw = [](uint64_t seed) {
    SamplerOptions options = plain();
    options.seed = seed;
    Sampler sampler(options);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) tokens.push_back(*sampler.pick(kLogits, {}));
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, RefusesWhatIsNoDistribution) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Sampler sampler(plain());
  EXPECT_EQ(sampler.pick(std::vector<float>{1.0f, kNan}, {}).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(sampler.pick(std::vector<float>{1.0f, kInfinity}, {}).status().code(),
            StatusCode::kCorrupt);
  EXPECT_EQ(sampler.pick(std::vector<float>{-kInfinity, -kInfinity}, {}).status().code(),
            StatusCode::kCorrupt);
  EXPECT_EQ(*sampler.pick(std::vector<float>{-kInfinity, 0.0f}, {}), 1);
}

TEST(Sampler, ChecksItsOptions) {
  EXPECT_TRUE(check_sampler_options({}).ok());
  for (const SamplerOptions& wrong : std::initializer_list<SamplerOptions>{
           {.temperature = -1.0f},
           {.temperature = std::numeric_limits<float>::quiet_NaN()},
           {.top_k = -1},
           {.top_p = 0.0f},
           {.top_p = 1.5f},
           {.min_p = -0.1f},
           {.repeat_penalty = 0.0f},
           {.repeat_last = -1}}) {
    EXPECT_EQ(check_sampler_options(wrong).code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace pare

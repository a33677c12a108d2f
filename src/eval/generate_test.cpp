#include "eval/generate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pare {
namespace {

// Likes token (sum of the context) mod vocabulary best, so that every token of the context
// counts; optionally a second one just as much.
class SumModel final : public Executor {
 public:
  int64_t vocabulary() const override { return 7; }
  int64_t width() const override { return 1; }
  Status run(std::span<const int32_t> tokens, int64_t first, std::span<float> hidden) override {
    EXPECT_EQ(first, static_cast<int64_t>(tokens.size()) - 1);
    EXPECT_EQ(hidden.size(), 1u);
    ++calls;
    if (calls == fail_at) return io_error("the disk is gone");
    int64_t sum = 0;
    for (int32_t t : tokens) sum += t;
    hidden[0] = static_cast<float>(sum);
    return {};
  }
  Status project(std::span<const float> hidden, std::span<float> logits) override {
    EXPECT_EQ(logits.size(), 7u);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = -static_cast<float>(i) - 10.0f;
    logits[static_cast<size_t>(hidden[0]) % 7] = peak;
    if (tie) logits[6] = peak;
    return {};
  }
  float peak = 3.0f;
  bool tie = false;
  int calls = 0, fail_at = -1;
};

TEST(GenerateGreedy, TakesTheLikeliestTokenOfTheWholeContext) {
  SumModel model;
  const auto text = generate_greedy(model, {1, 2}, 5);
  ASSERT_TRUE(text.ok());
  // Sums mod 7: 3, 6, 12 -> 5, 17 -> 3, 20 -> 6.
  EXPECT_EQ(*text, (std::vector<int32_t>{3, 6, 5, 3, 6}));
  EXPECT_EQ(model.calls, 5);
}

TEST(GenerateGreedy, TheStopTokenEndsTheTextAndIsNotPartOfIt) {
  SumModel model;
  const auto text = generate_greedy(model, {1, 2}, 5, [](int32_t t) { return t == 5; });
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, (std::vector<int32_t>{3, 6}));
  EXPECT_EQ(model.calls, 3);
}

TEST(GenerateGreedy, OfEqualsTheLowestIdWins) {
  SumModel model;
  model.tie = true;
  const auto text = generate_greedy(model, {2}, 1);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, (std::vector<int32_t>{2}));
}

TEST(GenerateGreedy, NothingAskedForNothingRun) {
  SumModel model;
  const auto text = generate_greedy(model, {2}, 0);
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(text->empty());
  EXPECT_EQ(model.calls, 0);
}

TEST(GenerateGreedy, RefusesWhatCannotBeDone) {
  SumModel model;
  EXPECT_EQ(generate_greedy(model, {}, 3).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(generate_greedy(model, {1}, -1).status().code(), StatusCode::kInvalidArgument);
  model.fail_at = 2;
  EXPECT_EQ(generate_greedy(model, {1}, 3).status().code(), StatusCode::kIo);
}

TEST(GenerateGreedy, LogitsThatAreNotFiniteAreNotHidden) {
  for (float peak : {NAN, INFINITY}) {
    SumModel model;
    model.peak = peak;
    EXPECT_EQ(generate_greedy(model, {1}, 3).status().code(), StatusCode::kBrokenPromise) << peak;
  }
}

}  // namespace
}  // namespace pare

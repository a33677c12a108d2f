// Tiny random models of every architecture on the native engine, against what `transformers`
// computes (tools/make_golden_logits.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "formats/safetensors/reader.h"
#include "model/exec_native/native_executor.h"
#include "model/exec_native/session.h"
#include "model/test_support.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// tolerance: of the largest logit. Float weights and a float cache differ from the reference in
// the order of sums only.
void expect_close(const std::vector<float>& found, std::span<const float> expected,
                  float tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  float largest = 0, worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(std::isfinite(found[i]));
    largest = std::max(largest, std::abs(expected[i]));
    worst = std::max(worst, std::abs(found[i] - expected[i]));
  }
  testing::Test::RecordProperty("worst", std::to_string(worst / largest));
  EXPECT_LE(worst, tolerance * largest) << "logits up to " << largest;
}
constexpr float kExact = 1e-5f;

class NativeLogits : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path directory = golden_logits_directory() / GetParam();
    expected_ = read_expected(directory);
    Result<Model> model = open_model(directory.string(), {.tokenizer = false});
    ASSERT_TRUE(model.ok()) << model.status().message();
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::string path = testing::TempDir() + "/native_" + name + ".gguf";
    std::replace(path.begin() + static_cast<int64_t>(testing::TempDir().size()) + 1, path.end(),
                 '/', '_');
    // Half-precision weights may be rounded further, floats are not.
    const Status written = write_f32_gguf(*model, path);
    ASSERT_TRUE(written.ok()) << written.message();
    Result<Model> floats = open_model(path, {.tokenizer = false});
    ASSERT_TRUE(floats.ok()) << floats.status().message();
    model_ = load(std::move(floats).value());
    fs::remove(path);
    as_stored_ = load(std::move(model).value());
  }

  static std::shared_ptr<const NativeModel> load(Model model) {
    auto native = NativeModel::load(std::make_shared<const Model>(std::move(model)));
    EXPECT_TRUE(native.ok()) << native.status().message();
    return *native;
  }

  std::unique_ptr<Session> session(ThreadPool& pool, CodecId kv = CodecId::kF32) {
    return session(model_, pool, kv);
  }
  std::unique_ptr<Session> session(std::shared_ptr<const NativeModel> model, ThreadPool& pool,
                                   CodecId kv = CodecId::kF32) {
    auto made = Session::create(
        model, pool, {.context = static_cast<int64_t>(expected_.tokens.size()), .kv = kv});
    EXPECT_TRUE(made.ok()) << made.status().message();
    return std::move(made).value();
  }
  size_t vocabulary() const { return static_cast<size_t>(model_->vocabulary()); }

  // The logits of all positions, the text given in pieces of these lengths (the last repeats).
  std::vector<float> run(Session& session, std::vector<size_t> lengths) {
    const std::span<const int32_t> tokens = expected_.tokens;
    std::vector<float> logits(expected_.logits.size());
    for (size_t begin = 0, i = 0; begin < tokens.size(); ++i) {
      const size_t count =
          std::min(lengths[std::min(i, lengths.size() - 1)], tokens.size() - begin);
      const Status status =
          session.forward(tokens.subspan(begin, count),
                          std::span(logits).subspan(begin * vocabulary(), count * vocabulary()));
      EXPECT_TRUE(status.ok()) << status.message();
      begin += count;
    }
    return logits;
  }

  Expected expected_;
  std::shared_ptr<const NativeModel> model_;      // in F32
  std::shared_ptr<const NativeModel> as_stored_;  // as the checkpoint has it
};

TEST_P(NativeLogits, EqualTransformers) {
  ThreadPool pool(2);
  expect_close(run(*session(pool), {1000}), expected_.logits, kExact);
}

TEST_P(NativeLogits, AsStoredTheyAreClose) {
  ThreadPool pool(2);
  expect_close(run(*session(as_stored_, pool), {1000}), expected_.logits, 5e-3f);
  expect_close(run(*session(as_stored_, pool), {1, 7, 16}), expected_.logits, kExact);
}

TEST_P(NativeLogits, PieceByPieceIsTheSame) {
  ThreadPool pool(2);
  expect_close(run(*session(pool), {1}), expected_.logits, kExact);
  expect_close(run(*session(pool), {7, 3, 17, 5}), expected_.logits, kExact);
}

// Drafts are checked with as many.
TEST_P(NativeLogits, UpToEightTokensAreWhatOneIs) {
  ThreadPool pool(2);
  for (const auto& model : {model_, as_stored_}) {
    for (const CodecId kv : {CodecId::kF32, CodecId::kF16}) {
      EXPECT_EQ(run(*session(model, pool, kv), {2, 5, 8, 3, 7, 8}),
                run(*session(model, pool, kv), {1}));
    }
  }
}

TEST_P(NativeLogits, TheExecutorGivesThoseOfTheLastPositions) {
  ThreadPool pool(2);
  const auto executor = make_native_executor(model_, pool);
  for (const size_t first : {size_t{0}, size_t{40}, expected_.tokens.size() - 1}) {
    std::vector<float> logits((expected_.tokens.size() - first) * vocabulary());
    const Status status = executor->logits(expected_.tokens, static_cast<int64_t>(first), logits);
    ASSERT_TRUE(status.ok()) << status.message();
    expect_close(logits, std::span(expected_.logits).subspan(first * vocabulary()), kExact);
  }
}

TEST_P(NativeLogits, AfterRewindTheTextGoesOnAnotherWay) {
  ThreadPool pool(1);
  const auto s = session(pool);
  std::vector<float> logits(vocabulary());
  std::vector<int32_t> other(expected_.tokens.rbegin(), expected_.tokens.rend());
  ASSERT_TRUE(s->forward(std::span<const int32_t>(expected_.tokens).first(20), {}).ok());
  ASSERT_TRUE(s->forward(std::span<const int32_t>(other).first(15), logits).ok());
  s->rewind(20);
  EXPECT_EQ(s->length(), 20);
  ASSERT_TRUE(s->forward(std::span<const int32_t>(expected_.tokens).subspan(20), logits).ok());
  expect_close(logits, std::span(expected_.logits).last(vocabulary()), kExact);
}

TEST_P(NativeLogits, ThreadsChangeNothing) {
  ThreadPool one(1), three(3);
  const auto a = session(one), b = session(three);
  EXPECT_EQ(run(*a, {11, 40, 1}), run(*b, {11, 40, 1}));
}

TEST_P(NativeLogits, CachesOfFewerBits) {
  ThreadPool pool(2);
  expect_close(run(*session(pool, CodecId::kF16), {30, 1}), expected_.logits, 2e-3f);
}

TEST_P(NativeLogits, WhatDoesNotFitIsRefused) {
  ThreadPool pool(1);
  const auto s = session(pool);
  std::vector<float> logits(vocabulary());
  const int32_t beyond[] = {static_cast<int32_t>(vocabulary())}, negative[] = {-1};
  EXPECT_EQ(s->forward(beyond, logits).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(s->forward(negative, logits).code(), StatusCode::kInvalidArgument);
  std::vector<float> too_many(vocabulary() + 1);
  EXPECT_EQ(s->forward(std::span<const int32_t>(expected_.tokens).first(3), too_many).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(s->length(), 0);
  ASSERT_TRUE(s->forward(expected_.tokens, logits).ok());
  EXPECT_EQ(s->forward(std::span<const int32_t>(expected_.tokens).first(1), logits).code(),
            StatusCode::kInvalidArgument);
  const int64_t most = model_->desc().hparams.n_context;
  const auto too_long = Session::create(model_, pool, {.context = most + 1});
  EXPECT_EQ(too_long.status().code(), StatusCode::kInvalidArgument);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_logits_directory())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, NativeLogits, testing::ValuesIn(golden_names()),
                         [](const auto& golden) { return golden.param; });

}  // namespace
}  // namespace pare

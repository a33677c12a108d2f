// Whole models on the GPU: tiny random ones of every architecture against what `transformers`
// computes, and any file (PARE_GPU_MODEL) against the CPU.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/rng.h"
#include "model/exec_cuda/gpu_test_util.h"
#include "model/exec_native/native_executor.h"
#include "model/exec_native/session.h"
#include "model/test_support.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// How far apart, of the largest expected one.
float distance(std::span<const float> found, std::span<const float> expected) {
  float largest = 0, worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!std::isfinite(found[i])) return INFINITY;
    largest = std::max(largest, std::abs(expected[i]));
    worst = std::max(worst, std::abs(found[i] - expected[i]));
  }
  return worst / largest;
}
// Products of many tokens with F16 and BF16 weights round activations to halves; all others of
// float weights differ from the reference in the order of sums only.
constexpr float kExact = 2e-5f, kHalves = 8e-3f;

std::shared_ptr<const NativeModel> open_native(const std::string& path) {
  Result<Model> model = open_model(path, {.tokenizer = false});
  EXPECT_TRUE(model.ok()) << model.status().message();
  auto native = NativeModel::load(std::make_shared<const Model>(std::move(model).value()));
  EXPECT_TRUE(native.ok()) << native.status().message();
  return std::move(native).value();
}

std::unique_ptr<Session> gpu_session(const std::shared_ptr<const NativeModel>& model,
                                     ThreadPool& pool, int64_t context, CodecId kv,
                                     int64_t blocks = -1) {
  auto device = pare_accelerator()->load(
      model, {.device = 0, .blocks = blocks, .context = context, .kv = kv});
  EXPECT_TRUE(device.ok()) << device.status().message();
  auto made = Session::create(model, pool, {.context = context, .kv = kv, .device = *device});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

// The logits of all positions, the text given in pieces of these lengths (the last repeats).
std::vector<float> run(Session& session, std::span<const int32_t> tokens,
                       std::vector<size_t> lengths) {
  const auto vocabulary = static_cast<size_t>(session.model().vocabulary());
  std::vector<float> logits(tokens.size() * vocabulary);
  for (size_t begin = 0, i = 0; begin < tokens.size(); ++i) {
    const size_t count = std::min(lengths[std::min(i, lengths.size() - 1)], tokens.size() - begin);
    const Status status =
        session.forward(tokens.subspan(begin, count),
                        std::span(logits).subspan(begin * vocabulary, count * vocabulary));
    EXPECT_TRUE(status.ok()) << status.message();
    begin += count;
  }
  return logits;
}

class GpuLogits : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    PARE_NEEDS_GPU();
    const fs::path directory = golden_logits_directory() / GetParam();
    expected_ = read_expected(directory);
    model_ = open_native(directory.string());
  }
  int64_t length() const { return static_cast<int64_t>(expected_.tokens.size()); }
  // How far results of pieces of many tokens may be off.
  float many() const {
    for (const Op& op : model_->desc().graph.blocks[0]) {
      if (op.kind == OpKind::kLinear && model_->matrix(op.weight).codec != CodecId::kF32) {
        return kHalves;
      }
    }
    return kExact;
  }

  ThreadPool pool_{2};
  Expected expected_;
  std::shared_ptr<const NativeModel> model_;
};

TEST_P(GpuLogits, EqualTransformers) {
  const auto session = gpu_session(model_, pool_, length(), CodecId::kF32);
  EXPECT_LE(distance(run(*session, expected_.tokens, {1000}), expected_.logits), many());
  for (int again = 0; again < 3; ++again) {  // graphs are captured, then replayed
    session->rewind(0);
    EXPECT_LE(distance(run(*session, expected_.tokens, {1}), expected_.logits), kExact);
  }
  session->rewind(0);
  EXPECT_LE(distance(run(*session, expected_.tokens, {7, 3, 17, 5}), expected_.logits), many());
}

TEST_P(GpuLogits, SomeBlocksOnTheCpu) {
  const auto session = gpu_session(model_, pool_, length(), CodecId::kF32, 1);
  EXPECT_LE(distance(run(*session, expected_.tokens, {1000}), expected_.logits), many());
  session->rewind(0);
  EXPECT_LE(distance(run(*session, expected_.tokens, {9, 1, 1, 1, 5}), expected_.logits), many());
}

TEST_P(GpuLogits, AfterRewindTheTextGoesOnAnotherWay) {
  const auto session = gpu_session(model_, pool_, length(), CodecId::kF32);
  const std::span<const int32_t> tokens = expected_.tokens;
  const auto vocabulary = static_cast<size_t>(model_->vocabulary());
  std::vector<float> logits(vocabulary);
  const std::vector<int32_t> other(tokens.rbegin(), tokens.rend());
  ASSERT_TRUE(session->forward(tokens.first(20), {}).ok());
  ASSERT_TRUE(session->forward(std::span(other).first(15), logits).ok());
  session->rewind(20);
  ASSERT_TRUE(session->forward(tokens.subspan(20), logits).ok());
  EXPECT_LE(distance(logits, std::span(expected_.logits).last(vocabulary)), many());
}

TEST_P(GpuLogits, TheExecutorGivesThoseOfTheLastPositions) {
  const auto device =
      pare_accelerator()->load(model_, {.device = 0, .context = length(), .kv = CodecId::kF32});
  ASSERT_TRUE(device.ok()) << device.status().message();
  const auto executor = make_native_executor(model_, pool_, CodecId::kF32, *device);
  const auto vocabulary = static_cast<size_t>(model_->vocabulary());
  for (const size_t first : {size_t{0}, size_t{40}, expected_.tokens.size() - 1}) {
    std::vector<float> logits((expected_.tokens.size() - first) * vocabulary);
    const Status status = executor->logits(expected_.tokens, static_cast<int64_t>(first), logits);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_LE(distance(logits, std::span(expected_.logits).subspan(first * vocabulary)), many());
  }
}

TEST_P(GpuLogits, CachesOfFewerBits) {
  const auto session = gpu_session(model_, pool_, length(), CodecId::kF16);
  EXPECT_LE(distance(run(*session, expected_.tokens, {30, 1}), expected_.logits), many() + 2e-3f);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_logits_directory())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}
INSTANTIATE_TEST_SUITE_P(Golden, GpuLogits, testing::ValuesIn(golden_names()),
                         [](const auto& golden) { return golden.param; });

TEST(GpuModelFile, LogitsAreThoseOfTheCpu) {
  PARE_NEEDS_GPU();
  const char* path = std::getenv("PARE_GPU_MODEL");
  if (path == nullptr) GTEST_SKIP() << "PARE_GPU_MODEL names no model";
  const auto model = open_native(path);
  ThreadPool pool;
  Rng rng(2);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 80; ++i) {
    tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(model->vocabulary()))));
  }
  auto cpu = Session::create(model, pool, {.context = 512, .kv = CodecId::kF16});
  ASSERT_TRUE(cpu.ok()) << cpu.status().message();
  const auto expected = run(**cpu, tokens, {72, 1});
  const auto vocabulary = static_cast<size_t>(model->vocabulary());
  for (const int64_t blocks : {int64_t{-1}, int64_t{3}}) {
    const auto session = gpu_session(model, pool, 512, CodecId::kF16, blocks);
    const auto found = run(*session, tokens, {72, 1});
    // Mean divergence of what is said next, and the worst logit.
    double divergence = 0;
    for (size_t t = 0; t < tokens.size(); ++t) {
      const float *p = expected.data() + t * vocabulary, *q = found.data() + t * vocabulary;
      const double top_p = *std::max_element(p, p + vocabulary);
      const double top_q = *std::max_element(q, q + vocabulary);
      double sum_p = 0, sum_q = 0, mixed = 0;
      for (size_t v = 0; v < vocabulary; ++v) {
        const double e = std::exp(p[v] - top_p);
        sum_p += e;
        sum_q += std::exp(q[v] - top_q);
        mixed += e * ((p[v] - top_p) - (q[v] - top_q));
      }
      divergence += mixed / sum_p - std::log(sum_p) + std::log(sum_q);
    }
    divergence /= static_cast<double>(tokens.size());
    const std::span<const float> f = found, e = expected;
    std::printf(
        "%s, %s: KL %.3g; of the largest logit: %.3g in the prompt, %.3g one by one\n", path,
        blocks < 0 ? "all blocks" : "3 blocks", divergence,
        static_cast<double>(distance(f.first(72 * vocabulary), e.first(72 * vocabulary))),
        static_cast<double>(distance(f.subspan(72 * vocabulary), e.subspan(72 * vocabulary))));
    EXPECT_LE(distance(found, expected), 0.05f);
    EXPECT_LE(divergence, 2e-3);
  }
}

}  // namespace
}  // namespace pare

// The whole search on a tiny model: estimates against measured divergence, budgets, resumption
// and threads.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/faulty_file_system.h"
#include "base/rng.h"
#include "calib/collect.h"
#include "calib/sample.h"
#include "codecs/codec.h"
#include "compress/backend.h"
#include "compress/verify.h"
#include "eval/compare.h"
#include "methods/encode/block_encoder.h"
#include "model/test_support.h"
#include "planner/probe.h"
#include "search/refine.h"

namespace pare {
namespace {

const std::vector<CodecId> kTypes = {CodecId::kQ4_0, CodecId::kIQ4_NL, CodecId::kQ5_0,
                                     CodecId::kQ5_1, CodecId::kQ8_0};

class SearchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_model((golden_logits_directory() / "llama").string(), {.tokenizer = false});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    model_ = std::make_shared<const Model>(std::move(*opened));
    auto torch_model = TorchModel::create(model_, {.threads = 1});
    ASSERT_TRUE(torch_model.ok());
    torch_ = std::move(*torch_model);
    Rng rng(5);
    for (int w = 0; w < 12; ++w) {
      std::vector<int32_t> window;
      for (int i = 0; i < 24; ++i) {
        window.push_back(
            static_cast<int32_t>(rng.below(static_cast<uint64_t>(model_->desc.hparams.n_vocab))));
      }
      windows_.push_back(std::move(window));
    }
    // Tests run at the same time, each in a process of its own.
    directory_ = std::filesystem::temp_directory_path() /
                 fmt::format("pare_search_test_{}",
                             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  CalibrationStats stats(int threads, const CollectOptions& options = {}) {
    ThreadPool pool(threads);
    auto found = collect_stats(*torch_, windows_, options, pool, Progress::silent());
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : CalibrationStats{};
  }

  Plan plan_of(const CalibrationStats& stats, double share) {
    ThreadPool pool(1);
    auto table = probe_candidates(*model_, stats, {.codecs = kTypes}, pool, Progress::silent());
    EXPECT_TRUE(table.ok()) << table.status().message();
    table_ = *table;
    uint64_t least = 0, most = 0;
    for (const auto& t : table_) {
      uint64_t low = UINT64_MAX, high = 0;
      for (const Candidate& c : t.candidates) {
        low = std::min(low, c.bytes);
        high = std::max(high, c.bytes);
      }
      least += low;
      most += high;
    }
    // The header's size is not known here: a margin for it.
    const auto budget = static_cast<uint64_t>(static_cast<double>(least) +
                                              share * static_cast<double>(most - least)) +
                        8192;
    auto plan = solve_plan(*model_, table_, budget, {});
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return *plan;
  }

  std::string bytes_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string compress(const Plan& plan, const CalibrationStats& stats, int threads,
                       const std::string& name, FileSystem& fs = FileSystem::real()) {
    ThreadPool pool(threads);
    auto torch_model = TorchModel::create(model_, {.threads = 1});
    BlockEncoder encoder(std::shared_ptr<TorchModel>(std::move(*torch_model)), model_, plan, stats,
                         windows_, {}, pool, Progress::silent());
    const std::string path = (directory_ / name).string();
    auto written = drive(*model_, plan, encoder, {.output = path, .fs = &fs}, Progress::silent());
    last_status_ = written.status();
    if (!written.ok()) return "";
    EXPECT_TRUE(verify_output(*model_, plan, *written, pool, Progress::silent()).ok());
    return bytes_of(path);
  }

  std::shared_ptr<const Model> model_;
  std::shared_ptr<TorchModel> torch_;
  Windows windows_;
  std::vector<TensorCandidates> table_;
  std::filesystem::path directory_;
  Status last_status_;
};

TEST_F(SearchTest, StatisticsDoNotDependOnThreads) {
  const CalibrationStats one = stats(1), four = stats(4);
  ASSERT_EQ(one.tensors.size(), four.tensors.size());
  for (const auto& [name, t] : one.tensors) {
    const TensorStats& other = four.tensors.at(name);
    EXPECT_EQ(t.in_sum2, other.in_sum2) << name;
    EXPECT_EQ(t.in_pivot, other.in_pivot) << name;
    EXPECT_EQ(t.out_grad2, other.out_grad2) << name;
    EXPECT_FALSE(t.out_grad2.empty()) << name;
    EXPECT_EQ(t.count, 12.0 * 24.0);
    for (size_t c = 0; c < t.in_sum2.size(); ++c) {
      // What is left after compensation is never more than the whole (and the damping).
      EXPECT_LE(t.in_pivot[c], 1.05 * t.in_sum2[c] / t.count + 0.02 * t.in_sum2[c] + 1e-3) << name;
    }
  }
  EXPECT_EQ(one.embedding_grad2, four.embedding_grad2);
}

// Inputs of blocks that are made again for the backward pass differ from those that were kept by
// what BF16 rounds away.
TEST_F(SearchTest, GradientsFromFewKeptInputsAreTheSame) {
  const CalibrationStats all = stats(2), few = stats(2, {.kept_bytes = 0});
  for (const auto& [name, t] : all.tensors) {
    const TensorStats& other = few.tensors.at(name);
    EXPECT_EQ(t.in_sum2, other.in_sum2) << name;
    ASSERT_EQ(t.out_grad2.size(), other.out_grad2.size());
    double sum = 0.0, difference = 0.0;
    for (size_t r = 0; r < t.out_grad2.size(); ++r) {
      sum += t.out_grad2[r];
      difference += std::abs(t.out_grad2[r] - other.out_grad2[r]);
    }
    EXPECT_LT(difference, 0.02 * sum) << name;
  }
}

// The scale of the estimates: noise of known size in one weight, expected against measured.
TEST_F(SearchTest, ExpectedDivergenceIsNearTheMeasuredOne) {
  const CalibrationStats found = stats(2);
  ThreadPool pool(2);
  std::shared_ptr<TorchModel> original = *TorchModel::create(model_, {.threads = 1});
  auto meter = DivergenceMeter::make(original, windows_, pool, Progress::silent());
  ASSERT_TRUE(meter.ok());
  int checked = 0;
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.ffn_up.weight",
                           "blk.1.ffn_down.weight", "blk.0.attn_output.weight"}) {
    const int32_t t = model_->desc.find(name);
    if (t < 0) continue;
    const TensorStats& s = found.tensors.at(name);
    const torch::Tensor weight = *torch_->weight(t);
    double expected = 0.0;
    const double sigma = 0.05 * weight.square().mean().sqrt().item<double>();
    double gradient = 0.0;
    for (float g : s.out_grad2) gradient += g;
    for (float x : s.in_sum2) expected += 0.5 * gradient * sigma * sigma * x / s.count;
    // Averaged over draws of the noise.
    double measured = 0.0;
    Rng rng(17);
    constexpr int kDraws = 12;
    for (int draw = 0; draw < kDraws; ++draw) {
      torch::Tensor noisy = weight.clone();
      for (int64_t i = 0; i < noisy.numel(); ++i) {
        noisy.data_ptr<float>()[i] += static_cast<float>(sigma * rng.normal());
      }
      torch_->override_weight(t, noisy);
      measured += *meter->measure(*torch_, pool, Progress::silent()) / kDraws;
      torch_->clear_override(t);
    }
    EXPECT_GT(measured, 0.5 * expected) << name;
    EXPECT_LT(measured, 2.0 * expected) << name;
    ++checked;
  }
  EXPECT_EQ(checked, 5);
}

TEST_F(SearchTest, PlansKeepTheBudgetAndUseIt) {
  const CalibrationStats found = stats(2);
  for (double share : {0.1, 0.4, 0.8}) {
    const Plan plan = plan_of(found, share);
    EXPECT_LE(plan.file_bytes, plan.budget_bytes);
    ThreadPool pool(2);
    auto written = compress(plan, found, 2, "budget.gguf");
    ASSERT_TRUE(last_status_.ok()) << last_status_.message();
    EXPECT_EQ(written.size(), plan.file_bytes);
  }
}

TEST_F(SearchTest, MoreBytesCostLess) {
  const CalibrationStats found = stats(2);
  const Plan plan = plan_of(found, 0.5);
  for (const TensorCandidates& t : table_) {
    if (t.candidates.size() < 2) continue;
    double q4 = 0, q5 = 0, q8 = 0;
    for (const Candidate& c : t.candidates) {
      if (c.codec == CodecId::kQ4_0) q4 = c.cost;
      if (c.codec == CodecId::kQ5_0) q5 = c.cost;
      if (c.codec == CodecId::kQ8_0) q8 = c.cost;
    }
    EXPECT_GT(q4, q5);
    EXPECT_GT(q5, q8);
    EXPECT_GT(q8, 0.0);
  }
}

TEST_F(SearchTest, SameBytesForAnyNumberOfThreads) {
  const CalibrationStats found = stats(2);
  const Plan plan = plan_of(found, 0.3);
  const std::string one = compress(plan, found, 1, "one.gguf");
  ASSERT_FALSE(one.empty()) << last_status_.message();
  EXPECT_EQ(compress(plan, found, 2, "two.gguf"), one);
  EXPECT_EQ(compress(plan, found, 4, "four.gguf"), one);
}

TEST_F(SearchTest, AnInterruptedRunGivesTheSameBytes) {
  const CalibrationStats found = stats(2);
  const Plan plan = plan_of(found, 0.3);
  const std::string whole = compress(plan, found, 2, "whole.gguf");
  ASSERT_FALSE(whole.empty()) << last_status_.message();
  for (int64_t failing : {9, 17, 24, 33, 40}) {
    FaultyFileSystem fs(failing);
    const std::string name = fmt::format("interrupted{}.gguf", failing);
    EXPECT_EQ(compress(plan, found, 2, name, fs), "") << failing;
    EXPECT_FALSE(file_exists((directory_ / name).string()));
    EXPECT_EQ(compress(plan, found, 2, name), whole) << "failed at " << failing;
  }
}

TEST_F(SearchTest, RefiningKeepsTheBudgetAndDoesNotSpoilThePlan) {
  const CalibrationStats found = stats(2);
  const Plan plan = plan_of(found, 0.4);
  ThreadPool pool(2);
  const std::string scratch = (directory_ / "scratch.gguf").string();
  auto refined =
      refine_plan(model_, plan, table_, found, windows_, {.windows = 4, .scratch = scratch},
                  {.threads = 1}, pool, Progress::silent());
  ASSERT_TRUE(refined.ok()) << refined.status().message();
  EXPECT_LE(refined->file_bytes, plan.budget_bytes);
  EXPECT_EQ(refined->tensors.size(), plan.tensors.size());
  EXPECT_FALSE(file_exists(scratch));
}

TEST_F(SearchTest, SampledTextDependsOnTheSeedAlone) {
  ThreadPool one(1), four(4);
  const SampleOptions options{.windows = 20, .length = 12, .first = 1, .seed = 3};
  auto a = sample_windows(*torch_, options, one, Progress::silent());
  auto b = sample_windows(*torch_, options, four, Progress::silent());
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(a->size(), 20u);
  EXPECT_EQ((*a)[19].size(), 12u);
  EXPECT_EQ((*a)[7][0], 1);
  SampleOptions other = options;
  other.seed = 4;
  EXPECT_NE(*sample_windows(*torch_, other, one, Progress::silent()), *a);
}

// Text run piece by piece through the cache gives what it gives at once.
TEST_F(SearchTest, CachedPiecesEqualTheWhole) {
  torch::NoGradGuard no_grad;
  torch::Tensor tokens = torch::empty({1, 24}, torch::kInt64);
  for (int64_t i = 0; i < 24; ++i) tokens[0][i] = windows_[0][static_cast<size_t>(i)];
  const auto run = [&](const torch::Tensor& ids, TorchCache* cache) {
    torch::Tensor stream = *torch_->prologue(ids, cache);
    for (size_t b = 0; b < model_->desc.graph.blocks.size(); ++b) {
      stream = *torch_->block(static_cast<int>(b), stream, nullptr, cache);
    }
    if (cache != nullptr) cache->length += ids.size(1);
    return *torch_->epilogue(stream);
  };
  const torch::Tensor whole = run(tokens, nullptr);
  TorchCache cache;
  const torch::Tensor first = run(tokens.narrow(1, 0, 10), &cache);
  const torch::Tensor second = run(tokens.narrow(1, 10, 1), &cache);
  const torch::Tensor third = run(tokens.narrow(1, 11, 13), &cache);
  EXPECT_TRUE(torch::allclose(torch::cat({first, second, third}, 1), whole, 1e-4, 1e-5));
}

}  // namespace
}  // namespace pare

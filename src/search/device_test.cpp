// Calibration and compression on a device whose memory the CPU cannot read, and on a GPU where
// there is one: what is computed there is what the CPU computes, and nothing of one is mixed with
// the other.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <tuple>

#include "base/rng.h"
#include "calib/collect.h"
#include "calib/sample.h"
#include "compress/driver.h"
#include "methods/encode/block_encoder.h"
#include "model/exec_torch/torch_device.h"
#include "model/exec_torch/torch_error.h"
#include "model/test_support.h"
#include "planner/probe.h"
#include "search/far_device.h"
#include "search/refine.h"

namespace pare {
namespace {

std::shared_ptr<const Model> golden(const std::string& name) {
  auto opened = open_model((golden_logits_directory() / name).string(), {.tokenizer = false});
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  return std::make_shared<const Model>(std::move(*opened));
}

std::shared_ptr<TorchModel> on(const torch::Device& device, std::shared_ptr<const Model> model) {
  auto made = TorchModel::create(std::move(model), {.threads = 1, .device = device});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(*made);
}

Windows random_windows(const Model& model, size_t count, size_t length) {
  Rng rng(5);
  Windows windows(count, std::vector<int32_t>(length));
  const auto vocabulary = static_cast<uint64_t>(model.desc.hparams.n_vocab);
  for (auto& window : windows) {
    for (int32_t& token : window) token = static_cast<int32_t>(rng.below(vocabulary));
  }
  return windows;
}

void expect_near(std::span<const float> found, std::span<const float> expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  double largest = 0, worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
  }
  EXPECT_LE(worst, tolerance * largest) << what;
}

TEST(FarDevice, IsAsStrictAsAGpu) {
  const torch::Tensor here = torch::arange(6.0f).reshape({2, 3});
  const torch::Tensor there = here.to(far::kDevice);
  EXPECT_TRUE(torch::equal((there * 2.0).sum(1).cpu(), (here * 2.0).sum(1)));
  EXPECT_TRUE(torch::equal(there.transpose(0, 1).narrow(0, 1, 2).cpu(),
                           here.transpose(0, 1).narrow(0, 1, 2)));
  EXPECT_THROW((void)torch::mm(there, here.transpose(0, 1)), c10::Error);
  EXPECT_THROW((void)(there + here), c10::Error);
  EXPECT_EXIT((void)(*static_cast<volatile float*>(there.data_ptr())),
              testing::KilledBySignal(SIGSEGV), "");
}

std::vector<torch::Device> devices() {
  std::vector<torch::Device> found = {far::kDevice};
  if (const auto gpu = find_torch_device("cuda"); gpu.ok()) found.push_back(*gpu);
  return found;
}

using Case = std::tuple<std::string, torch::Device>;
class DeviceLogits : public testing::TestWithParam<Case> {};

TEST_P(DeviceLogits, AreThoseOfTheCpu) {
  const auto& [name, device] = GetParam();
  const Expected expected = read_expected(golden_logits_directory() / name);
  const auto executor = make_torch_executor(on(device, golden(name)));
  std::vector<float> logits(expected.logits.size());
  const Status status = executor->logits(expected.tokens, 0, logits);
  ASSERT_TRUE(status.ok()) << status.message();
  expect_near(logits, expected.logits, 1e-5, name);
}

std::vector<std::string> all_golden() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_logits_directory())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string name_of(const torch::Device& device) { return device.is_cuda() ? "cuda" : "far"; }

INSTANTIATE_TEST_SUITE_P(EveryArchitecture, DeviceLogits,
                         testing::Combine(testing::ValuesIn(all_golden()),
                                          testing::ValuesIn(devices())),
                         [](const testing::TestParamInfo<Case>& tested) {
                           return std::get<0>(tested.param) + "_on_" +
                                  name_of(std::get<1>(tested.param));
                         });

class DeviceTest : public testing::TestWithParam<torch::Device> {
 protected:
  CalibrationStats stats(const torch::Device& device) {
    auto found = collect_stats(*on(device, model_), windows_, {}, pool_, Progress::silent());
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : CalibrationStats{};
  }

  const torch::Device device_ = GetParam();
  const std::shared_ptr<const Model> model_ = golden("llama");
  const Windows windows_ = random_windows(*model_, 8, 24);
  ThreadPool pool_{2};
};

// A libtorch with CUDA asks CUDA for its streams in every backward pass off the CPU.
std::string backward_error(const torch::Device& device) {
  try {
    const torch::Tensor x = torch::ones({2}).to(device).requires_grad_(true);
    (x * 2.0).sum().backward();
    return "";
  } catch (const std::exception& error) {
    return torch_error("a backward pass", error).message();
  }
}

TEST_P(DeviceTest, StatisticsAreThoseOfTheCpu) {
  if (const std::string error = backward_error(device_); !error.empty()) GTEST_SKIP() << error;
  const CalibrationStats here = stats(torch::kCPU), there = stats(device_);
  ASSERT_EQ(here.tensors.size(), there.tensors.size());
  for (const auto& [name, t] : here.tensors) {
    const TensorStats& other = there.tensors.at(name);
    expect_near(other.in_sum2, t.in_sum2, 1e-5, name);
    expect_near(other.in_pivot, t.in_pivot, 1e-4, name);
    expect_near(other.out_grad2, t.out_grad2, 1e-4, name);
  }
  expect_near(there.embedding_grad2, here.embedding_grad2, 1e-4, "embedding");
}

TEST_P(DeviceTest, SampledTextIsThatOfTheCpu) {
  const SampleOptions options{.windows = 4, .length = 12, .first = 1, .seed = 3};
  const auto here = sample_windows(*on(torch::kCPU, model_), options, pool_, Progress::silent());
  const auto there = sample_windows(*on(device_, model_), options, pool_, Progress::silent());
  ASSERT_TRUE(here.ok() && there.ok());
  EXPECT_EQ(*here, *there);
}

// Plan, encode with error compensation, measure and plan again.
TEST_P(DeviceTest, CompressesAsTheCpuDoes) {
  const auto directory =
      std::filesystem::temp_directory_path() / fmt::format("pare_device_test_{}", ::getpid());
  std::filesystem::create_directories(directory);
  const CalibrationStats found = stats(torch::kCPU);
  const std::vector<CodecId> types = {CodecId::kQ4_0, CodecId::kQ5_1, CodecId::kQ8_0};
  const auto table = probe_candidates(*model_, found, {.codecs = types}, pool_, Progress::silent());
  ASSERT_TRUE(table.ok()) << table.status().message();
  uint64_t most = 0;
  for (const TensorInfo& t : model_->tensors->tensors()) most += t.bytes;
  const auto plan = solve_plan(*model_, *table, most * 3 / 5, {});
  ASSERT_TRUE(plan.ok()) << plan.status().message();

  const auto measure = [&](const torch::Device& device) -> Result<double> {
    BlockEncoder encoder(on(device, model_), model_, *plan, found, windows_, {}, pool_,
                         Progress::silent());
    const std::string path = (directory / "model.gguf").string();
    PARE_RETURN_IF_ERROR(
        drive(*model_, *plan, encoder, {.output = path}, Progress::silent()).status());
    PARE_ASSIGN_OR_RETURN(Model written, open_model(path, {.tokenizer = false}));
    PARE_ASSIGN_OR_RETURN(
        const DivergenceMeter meter,
        DivergenceMeter::make(on(device, model_), windows_, pool_, Progress::silent()));
    return meter.measure(*on(device, std::make_shared<const Model>(std::move(written))), pool_,
                         Progress::silent());
  };
  const auto here = measure(torch::kCPU), there = measure(device_);
  ASSERT_TRUE(here.ok()) << here.status().message();
  ASSERT_TRUE(there.ok()) << there.status().message();
  EXPECT_GT(*here, 0.0);
  EXPECT_NEAR(*there, *here, 0.02 * *here);

  const auto refined = refine_plan(model_, *plan, *table, found, windows_,
                                   {.windows = 4, .scratch = (directory / "scratch.gguf").string()},
                                   {.threads = 1, .device = device_}, pool_, Progress::silent());
  ASSERT_TRUE(refined.ok()) << refined.status().message();
  EXPECT_LE(refined->file_bytes, plan->budget_bytes);
  std::filesystem::remove_all(directory);
}

// Wherever memory ends: one line, and no exception gets through.
TEST(DeviceMemory, TooLittleIsAnError) {
  const auto model = golden("llama");
  const Windows windows = random_windows(*model, 4, 24);
  ThreadPool pool(1);
  const auto stats = collect_stats(*on(torch::kCPU, model), windows, {}, pool, Progress::silent());
  ASSERT_TRUE(stats.ok());
  const auto table =
      probe_candidates(*model, *stats, {.codecs = {CodecId::kQ8_0}}, pool, Progress::silent());
  uint64_t most = 0;
  for (const TensorInfo& t : model->tensors->tensors()) most += t.bytes;
  const auto plan = solve_plan(*model, *table, most, {});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const auto scratch =
      std::filesystem::temp_directory_path() / fmt::format("pare_memory_test_{}", ::getpid());
  const auto run = [&](size_t limit) -> Status {
    far::Memory::instance().limit(limit);
    PARE_RETURN_IF_ERROR(collect_stats(*on(far::kDevice, model), windows, {.gradients = false},
                                       pool, Progress::silent())
                             .status());
    return refine_plan(model, *plan, *table, *stats, windows,
                       {.windows = 2, .scratch = scratch.string()},
                       {.threads = 1, .device = far::kDevice}, pool, Progress::silent())
        .status();
  };
  int failures = 0;
  Status status;
  for (size_t limit = 1 << 12; limit < size_t{1} << 30; limit += limit / 4) {
    status = run(limit);
    if (status.ok()) break;
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << status.message();
    EXPECT_NE(status.message().find("--device cpu"), std::string::npos) << status.message();
    ++failures;
  }
  far::Memory::instance().limit(SIZE_MAX);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_GT(failures, 5);
}

INSTANTIATE_TEST_SUITE_P(Every, DeviceTest, testing::ValuesIn(devices()),
                         [](const testing::TestParamInfo<torch::Device>& tested) {
                           return name_of(tested.param);
                         });

TEST(TorchDevice, NamesAreChecked) {
  EXPECT_TRUE(find_torch_device("cpu").ok());
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1"}) {
    EXPECT_EQ(find_torch_device(wrong).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_EQ(find_torch_device("cuda:99").status().code(), StatusCode::kUnsupported);
}

}  // namespace
}  // namespace pare

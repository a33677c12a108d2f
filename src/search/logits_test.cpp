// Logits of tiny random models of every architecture, against what `transformers` computes
// (tools/make_golden_logits.py): from the checkpoint, through a GGUF file of it, and through a
// checkpoint made from canonical form.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "compress/backend.h"
#include "formats/safetensors/reader.h"
#include "model/arch/arch.h"
#include "model/hf_names.h"
#include "model/test_support.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

std::vector<float> run(Model model, std::span<const int32_t> tokens, int64_t first) {
  ThreadPool pool(1);
  auto executor = pare_backend()->make_executor(std::make_shared<Model>(std::move(model)), pool);
  EXPECT_TRUE(executor.ok()) << executor.status().message();
  const auto positions = tokens.size() - static_cast<size_t>(first);
  std::vector<float> logits(positions * static_cast<size_t>((*executor)->vocabulary()));
  const Status status = (*executor)->logits(tokens, first, logits);
  EXPECT_TRUE(status.ok()) << status.message();
  return logits;
}

// Differences are those of summation order: far below what any mistake would give.
void expect_close(const std::vector<float>& found, std::span<const float> expected) {
  ASSERT_EQ(found.size(), expected.size());
  float largest = 0, worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    worst = std::max(worst, std::abs(found[i] - expected[i]));
  }
  testing::Test::RecordProperty("worst", std::to_string(worst));
  EXPECT_LE(worst, 5e-6f * largest + 1e-5f) << "logits up to " << largest;
}

class Logits : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    directory_ = golden_logits_directory() / GetParam();
    expected_ = read_expected(directory_);
    Result<Model> model = open_model(directory_.string(), {.tokenizer = false});
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = std::move(model).value();
  }
  fs::path directory_;
  Expected expected_;
  Model model_;
};

TEST_P(Logits, EqualTransformers) {
  expect_close(run(model_, expected_.tokens, 0), expected_.logits);
}

TEST_P(Logits, OfTheLastPositionsAloneAreTheSame) {
  const size_t vocabulary = expected_.logits.size() / expected_.tokens.size();
  expect_close(run(model_, expected_.tokens, 40),
               std::span(expected_.logits).subspan(40 * vocabulary));
}

TEST_P(Logits, SurviveGguf) {
  const fs::path path = fs::path(testing::TempDir()) / (GetParam() + "_logits.gguf");
  const Status written = write_f32_gguf(model_, path.string());
  ASSERT_TRUE(written.ok()) << written.message();
  Result<Model> reopened = open_model(path.string());
  ASSERT_TRUE(reopened.ok()) << reopened.status().message();
  EXPECT_EQ(reopened->form, "gguf");
  expect_close(run(std::move(reopened).value(), expected_.tokens, 0), expected_.logits);
  fs::remove(path);
}

TEST_P(Logits, SurviveGoingBackToHuggingFace) {
  Result<HfForm> form = hugging_face_form(model_.metadata, model_.desc, model_.tensors);
  if (GetParam() == "llama_rope_llama3") {
    // Its divisors are not Llama 3's own, and config.json cannot hold others.
    EXPECT_EQ(form.status().code(), StatusCode::kUnsupported);
    return;
  }
  ASSERT_TRUE(form.ok()) << form.status().message();
  const Architecture* arch = find_architecture(model_.desc.arch);
  const auto again = canonical_view(*arch, form->config, form->tensors, "memory");
  ASSERT_TRUE(again.ok()) << again.status().message();
  Model model;
  model.path = "memory";
  model.tensors = *again;
  model.metadata.set("general.architecture", gguf::Value(arch->name));
  KeyWriter keys(&model.metadata, arch->name);
  const Status read = arch->metadata_from_config(HfConfig(form->config), &keys);
  ASSERT_TRUE(read.ok()) << read.message();
  Result<ModelDesc> desc = describe_model(model.metadata, model.tensors->tensors());
  ASSERT_TRUE(desc.ok()) << desc.status().message();
  model.desc = std::move(desc).value();
  auto index = check_tensors(model.desc, model.tensors->tensors(), "memory");
  ASSERT_TRUE(index.ok()) << index.status().message();
  model.source_index = std::move(index).value();
  expect_close(run(std::move(model), expected_.tokens, 0), expected_.logits);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_logits_directory())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, Logits, testing::ValuesIn(golden_names()),
                         [](const auto& golden) { return golden.param; });

}  // namespace
}  // namespace pare

// Logits of tiny random models of every architecture, against what `transformers` computes
// (tools/make_golden_logits.py), from the checkpoint and through a GGUF file of it.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "formats/safetensors/reader.h"
#include "model/convert.h"
#include "model/exec_torch/torch_model.h"
#include "model/open.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PARE_SOURCE_DIR) / "tests/golden/logits";

struct Expected {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
};

Expected read_expected(const fs::path& directory) {
  auto file = safetensors::File::open((directory / "expected.safetensors").string());
  EXPECT_TRUE(file.ok()) << file.status().message();
  Expected expected;
  auto tokens = (*file)->read(static_cast<size_t>((*file)->find("tokens")));
  auto logits = (*file)->read(static_cast<size_t>((*file)->find("logits")));
  EXPECT_TRUE(tokens.ok() && logits.ok());
  for (size_t i = 0; i < tokens->bytes.size() / 8; ++i) {
    int64_t token;
    std::memcpy(&token, tokens->bytes.data() + 8 * i, 8);
    expected.tokens.push_back(static_cast<int32_t>(token));
  }
  expected.logits.resize(logits->bytes.size() / 4);
  std::memcpy(expected.logits.data(), logits->bytes.data(), logits->bytes.size());
  return expected;
}

Result<Model> open_without_tokenizer(const fs::path& path) {
  return open_model(path.string(), {.tokenizer = false});
}

std::vector<float> run(Model model, std::span<const int32_t> tokens, int64_t first,
                       const TorchOptions& options = {}) {
  auto torch_model = TorchModel::create(std::make_shared<const Model>(std::move(model)), options);
  EXPECT_TRUE(torch_model.ok()) << torch_model.status().message();
  auto executor = make_torch_executor(std::move(torch_model).value());
  const auto positions = tokens.size() - static_cast<size_t>(first);
  std::vector<float> logits(positions * static_cast<size_t>(executor->vocabulary()));
  const Status status = executor->logits(tokens, first, logits);
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
  EXPECT_LE(worst, 5e-6f * largest + 1e-5f) << "logits up to " << largest;
}

class Logits : public testing::TestWithParam<std::string> {
 protected:
  fs::path directory() const { return kGolden / GetParam(); }
};

TEST_P(Logits, EqualTransformers) {
  const Expected expected = read_expected(directory());
  Result<Model> model = open_without_tokenizer(directory());
  ASSERT_TRUE(model.ok()) << model.status().message();
  expect_close(run(std::move(model).value(), expected.tokens, 0), expected.logits);
}

TEST_P(Logits, OfTheLastPositionsAloneAreTheSame) {
  const Expected expected = read_expected(directory());
  Result<Model> model = open_without_tokenizer(directory());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const size_t vocabulary = expected.logits.size() / expected.tokens.size();
  // Nothing is kept, so each block's weights are decoded anew.
  expect_close(run(std::move(model).value(), expected.tokens, 40, {.keep_bytes = 0}),
               std::span(expected.logits).subspan(40 * vocabulary));
}

TEST_P(Logits, SurviveGguf) {
  const Expected expected = read_expected(directory());
  Result<Model> model = open_without_tokenizer(directory());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const fs::path path = fs::path(testing::TempDir()) / (GetParam() + "_logits.gguf");
  ThreadPool pool(2);
  const Status written = convert_to_gguf(*model, path.string(), {.type = CodecId::kF32}, pool);
  ASSERT_TRUE(written.ok()) << written.message();
  Result<Model> reopened = open_model(path.string());
  ASSERT_TRUE(reopened.ok()) << reopened.status().message();
  EXPECT_EQ(reopened->form, "gguf");
  expect_close(run(std::move(reopened).value(), expected.tokens, 0), expected.logits);
  fs::remove(path);
}

TEST_P(Logits, SurviveGoingToGgufAndBack) {
  const Expected expected = read_expected(directory());
  Result<Model> model = open_without_tokenizer(directory());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const fs::path path = fs::path(testing::TempDir()) / (GetParam() + "_back");
  ThreadPool pool(2);
  const Status written =
      convert_to_hugging_face(*model, path.string(), {.type = CodecId::kF32}, pool);
  if (GetParam() == "llama_rope_llama3") {
    // Its divisors are not Llama 3's own, and config.json cannot hold others.
    EXPECT_EQ(written.code(), StatusCode::kUnsupported);
    return;
  }
  ASSERT_TRUE(written.ok()) << written.message();
  Result<Model> reopened = open_without_tokenizer(path);
  ASSERT_TRUE(reopened.ok()) << reopened.status().message();
  expect_close(run(std::move(reopened).value(), expected.tokens, 0), expected.logits);
  fs::remove_all(path);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, Logits, testing::ValuesIn(golden_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace pare

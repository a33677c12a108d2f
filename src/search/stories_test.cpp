// A real, trained model, small enough for a unit test: it must tell its story.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "compress/backend.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {
namespace {

TEST(Stories260K, GoesOnGreedilyAsPublished) {
  const std::string path =
      std::string(PARE_SOURCE_DIR) + "/../shared/models/stories260K/stories260K.bin";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  Result<Model> model = open_model(path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->form, "llama2c");
  const auto tokenizer = Tokenizer::from_gguf(model->metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ThreadPool pool(1);
  const auto executor =
      pare_backend()->make_executor(std::make_shared<Model>(std::move(model).value()), pool);
  ASSERT_TRUE(executor.ok()) << executor.status().message();

  std::vector<int32_t> tokens{(*tokenizer)->special().bos};
  std::vector<float> logits(static_cast<size_t>((*executor)->vocabulary()));
  for (int i = 0; i < 60; ++i) {
    const auto last = static_cast<int64_t>(tokens.size()) - 1;
    const Status status = (*executor)->logits(tokens, last, logits);
    ASSERT_TRUE(status.ok()) << status.message();
    const auto best = std::max_element(logits.begin(), logits.end());
    tokens.push_back(static_cast<int32_t>(best - logits.begin()));
  }
  const std::string text = (*tokenizer)->decode(tokens);
  EXPECT_TRUE(
      text.starts_with("Once upon a time, there was a little girl named Lily. She loved to "
                       "play outside in the park. One day, she saw a big, red ball."))
      << text;
}

}  // namespace
}  // namespace pare

#include "serve/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "model/test_support.h"

namespace pare {
namespace {

// Golden models have 64 tokens; here each is a letter of its own.
std::shared_ptr<const Tokenizer> letters(int32_t end = -1) {
  TokenizerSpec spec;
  for (int i = 0; i < 64; ++i) {
    spec.tokens.emplace_back(1, static_cast<char>('!' + i));
    spec.types.push_back(TokenType::kNormal);
  }
  if (end >= 0) spec.end_of_generation = {end};
  auto made = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(made.ok()) << made.status().message();
  return *made;
}

std::string letter(int32_t token) { return std::string(1, static_cast<char>('!' + token)); }

class Generate : public testing::Test {
 protected:
  std::unique_ptr<Session> session(const std::string& golden, int64_t context = 128) {
    auto& model = models_[golden];
    if (model == nullptr) {
      auto opened = open_model((golden_logits_directory() / golden).string(), {.tokenizer = false});
      EXPECT_TRUE(opened.ok()) << opened.status().message();
      auto native = NativeModel::load(std::make_shared<const Model>(std::move(opened).value()));
      EXPECT_TRUE(native.ok()) << native.status().message();
      model = *native;
    }
    auto made = Session::create(model, pool_, {.context = context, .kv = CodecId::kF32});
    EXPECT_TRUE(made.ok()) << made.status().message();
    return std::move(made).value();
  }
  std::unique_ptr<Generator> generator(const std::string& draft = "", int32_t end = -1,
                                       int64_t context = 128) {
    auto made = Generator::create(session("llama", context), letters(end),
                                  draft.empty() ? nullptr : session(draft, context));
    EXPECT_TRUE(made.ok()) << made.status().message();
    return std::move(made).value();
  }
  static Generated run(Generator& generator, const GenerateOptions& options,
                       const std::vector<int32_t>& prompt = {1, 2, 3}) {
    auto result = generator.generate(prompt, options);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
  }

  ThreadPool pool_{2};
  std::map<std::string, std::shared_ptr<const NativeModel>> models_;
};

GenerateOptions greedy(int64_t tokens) {
  GenerateOptions options;
  options.sampler.temperature = 0.0f;
  options.max_tokens = tokens;
  return options;
}

TEST_F(Generate, TakesTheLikeliestTokenOfTheWholeContext) {
  const Generated found = run(*generator(), greedy(20));
  EXPECT_EQ(found.finish, Finish::kMaxTokens);
  EXPECT_EQ(found.prompt_tokens, 3);
  std::vector<int32_t> context = {1, 2, 3};
  std::string text;
  for (int i = 0; i < 20; ++i) {
    std::vector<float> logits(64);
    ASSERT_TRUE(session("llama")->forward(context, logits).ok());
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    context.push_back(static_cast<int32_t>(best));
    text += letter(context.back());
  }
  EXPECT_EQ(found.tokens, std::vector<int32_t>(context.begin() + 3, context.end()));
  EXPECT_EQ(found.text, text);
}

TEST_F(Generate, DraftsChangeNothingButTheTime) {
  for (const float temperature : {0.0f, 1.5f}) {
    GenerateOptions options = greedy(90);
    options.sampler.temperature = temperature;
    const Generated alone = run(*generator(), options);
    for (const char* draft : {"llama", "llama_rope_linear", "mistral"}) {
      const Generated drafted = run(*generator(draft), options);
      EXPECT_EQ(drafted.tokens, alone.tokens) << draft << " at " << temperature;
      EXPECT_GT(drafted.drafted, 0);
      EXPECT_LE(drafted.accepted, drafted.drafted);
      if (temperature == 0.0f && draft == std::string("llama")) {
        EXPECT_EQ(drafted.accepted, drafted.drafted);  // its own guesses
      }
    }
  }
}

TEST_F(Generate, WhatWasRunIsNotRunAgain) {
  const auto g = generator("llama_rope_linear");
  const Generated first = run(*g, greedy(10));
  std::vector<int32_t> longer = {1, 2, 3};
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
  longer.insert(longer.end(), {7, 8, 9});
  const Generated next = run(*g, greedy(10), longer);
  EXPECT_GE(next.reused_tokens, 10);
  EXPECT_EQ(next.tokens, run(*generator(), greedy(10), longer).tokens);
  // Another text altogether, and the same one again.
  EXPECT_EQ(run(*g, greedy(10), {5, 5}).tokens, run(*generator(), greedy(10), {5, 5}).tokens);
  const Generated again = run(*g, greedy(10), {5, 5});
  EXPECT_EQ(again.reused_tokens, 1);
  EXPECT_EQ(again.tokens, run(*generator(), greedy(10), {5, 5}).tokens);
}

TEST_F(Generate, EndsForEachReason) {
  const std::vector<int32_t> tokens = run(*generator(), greedy(12)).tokens;
  for (const char* draft : {"", "llama"}) {
    // The model's own end is not part of the text, unless it is ignored.
    const auto at = std::find(tokens.begin(), tokens.end(), tokens[5]);
    const std::vector<int32_t> before(tokens.begin(), at);
    const Generated ended = run(*generator(draft, tokens[5]), greedy(12));
    EXPECT_EQ(ended.finish, Finish::kEnd);
    EXPECT_EQ(ended.tokens, before);
    GenerateOptions options = greedy(12);
    options.ignore_end = true;
    EXPECT_EQ(run(*generator(draft, tokens[5]), options).tokens, tokens);

    options = greedy(12);
    options.stop = {letter(tokens[5]) + letter(tokens[6])};
    const Generated stopped = run(*generator(draft), options);
    EXPECT_EQ(stopped.finish, Finish::kStopString);
    EXPECT_EQ(stopped.text.find(options.stop[0]), std::string::npos);
    EXPECT_LE(stopped.text.size(), 5u);

    const Generated full = run(*generator(draft, -1, 10), greedy(-1));
    EXPECT_EQ(full.finish, Finish::kContextFull);
    EXPECT_EQ(full.tokens.size(), 7u);
    EXPECT_EQ(full.tokens, std::vector<int32_t>(tokens.begin(), tokens.begin() + 7));

    EXPECT_TRUE(run(*generator(draft), greedy(0)).tokens.empty());

    std::string heard;
    const auto g = generator(draft);
    const std::vector<int32_t> prompt = {1, 2, 3};
    auto cancelled = g->generate(prompt, greedy(12), [&](std::string_view text) {
      heard += text;
      return heard.size() < 3;
    });
    EXPECT_EQ(cancelled->finish, Finish::kCancelled);
    EXPECT_EQ(cancelled->tokens.size(), 3u);
    cancelled = g->generate(prompt, greedy(12), nullptr, [] { return true; });
    EXPECT_EQ(cancelled->finish, Finish::kCancelled);
    EXPECT_TRUE(cancelled->tokens.empty());
    EXPECT_EQ(run(*g, greedy(12)).tokens, tokens);  // and nothing is broken by it
  }
}

TEST_F(Generate, RefusesWhatCannotBe) {
  const auto g = generator("", -1, 10);
  const auto code = [&](const std::vector<int32_t>& prompt, const GenerateOptions& options) {
    return g->generate(prompt, options).status().code();
  };
  EXPECT_EQ(code({}, greedy(1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(std::vector<int32_t>(10, 1), greedy(1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({64}, greedy(1)), StatusCode::kInvalidArgument);
  GenerateOptions wrong = greedy(1);
  wrong.sampler.top_p = 2.0f;
  EXPECT_EQ(code({1}, wrong), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace pare

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "pare/pare.h"
#include "pare/pare_c.h"

namespace pare::api {
namespace {

std::string golden(const char* name) {
  return (std::filesystem::path(PARE_SOURCE_DIR) / "tests/golden/logits" / name).string();
}

TEST(Api, RunsAModel) {
  Error error;
  auto model = Model::open(golden("llama"), &error);
  ASSERT_TRUE(model) << error.message;
  EXPECT_EQ(model->vocabulary(), 64);
  EXPECT_EQ(model->context(), 128);
  const auto session = Session::create(*model, {.context = 20, .kv = "F32", .threads = 2}, &error);
  ASSERT_TRUE(session) << error.message;
  const auto other = Session::create(*model, {}, &error);
  ASSERT_TRUE(other) << error.message;
  EXPECT_EQ(other->capacity(), 128);
  model.reset();  // sessions keep what they need

  std::vector<float> whole, stepwise;
  EXPECT_FALSE(session->forward({1, 2, 3, 4}, &whole));
  EXPECT_EQ(session->length(), 4);
  session->rewind(2);
  EXPECT_FALSE(session->forward({3}, nullptr));
  EXPECT_FALSE(session->forward({4}, &stepwise));
  ASSERT_EQ(whole.size(), 64u);
  for (size_t i = 0; i < 64; ++i) EXPECT_NEAR(whole[i], stepwise[i], 1e-5);

  int32_t id = -1;
  EXPECT_FALSE(Sampler({.temperature = 0.0f}).pick(whole, {}, &id));
  EXPECT_EQ(id, std::max_element(whole.begin(), whole.end()) - whole.begin());
  EXPECT_EQ(Sampler({.top_p = 3.0f}).pick(whole, {}, &id).kind, "invalid argument");
}

TEST(Api, SaysWhatIsWrong) {
  Error error;
  EXPECT_FALSE(Model::open(golden("nothing"), &error));
  EXPECT_NE(error.message.find("nothing"), std::string::npos) << error.message;
  const auto model = Model::open(golden("llama"), &error);
  ASSERT_TRUE(model);
  EXPECT_FALSE(error);
  for (const SessionOptions& wrong : std::initializer_list<SessionOptions>{
           {.context = 1000}, {.kv = "Q5_9"}, {.kv = "Q4_K"}, {.threads = -1}}) {
    EXPECT_FALSE(Session::create(*model, wrong, &error));
    EXPECT_TRUE(error);
  }
  const auto session = Session::create(*model, {}, &error);
  std::vector<float> logits;
  EXPECT_TRUE(session->forward({}, &logits));
  EXPECT_TRUE(session->forward({64}, &logits));
  std::vector<int32_t> ids;
  EXPECT_TRUE(model->encode("no tokenizer here", &ids));
  EXPECT_TRUE(model->encode_chat({{"user", "nor a template"}}, &ids));
  EXPECT_FALSE(model->is_end(3));
}

TEST(CApi, RunsAModel) {
  EXPECT_STREQ(pare_version(), version());
  EXPECT_EQ(pare_model_open(golden("nothing").c_str()), nullptr);
  EXPECT_NE(std::string(pare_error()).find("nothing"), std::string::npos);
  EXPECT_EQ(pare_model_open(nullptr), nullptr);
  EXPECT_NE(std::string(pare_error()).find("empty"), std::string::npos) << pare_error();
  pare_model* model = pare_model_open(golden("gpt2").c_str());
  ASSERT_NE(model, nullptr) << pare_error();
  const auto vocabulary = static_cast<size_t>(pare_model_vocabulary(model));
  const pare_session_options options{.context = 16, .kv = nullptr, .threads = 1};
  pare_session* session = pare_session_create(model, &options);
  ASSERT_NE(session, nullptr) << pare_error();
  const int32_t text[] = {1, 2, 3};
  std::vector<float> logits(vocabulary), again(vocabulary);
  EXPECT_EQ(pare_forward(session, text, 3, logits.data()), 0);
  EXPECT_EQ(pare_session_length(session), 3);
  EXPECT_EQ(pare_session_capacity(session), 16);
  pare_rewind(session, 0);
  EXPECT_EQ(pare_forward(session, text, 3, again.data()), 0);
  EXPECT_EQ(logits, again);
  const std::vector<int32_t> many(20, 1);
  EXPECT_EQ(pare_forward(session, many.data(), many.size(), nullptr), -1);
  EXPECT_NE(std::string(pare_error()).find("context"), std::string::npos) << pare_error();

  pare_sampling sampling = pare_default_sampling();
  sampling.temperature = 0.0f;
  pare_sampler* sampler = pare_sampler_create(&sampling);
  EXPECT_EQ(pare_sample(sampler, logits.data(), vocabulary, text, 3),
            std::max_element(logits.begin(), logits.end()) - logits.begin());
  EXPECT_EQ(pare_encode(model, "a", 1, nullptr, 0), -1);
  const pare_message message = {"user", "nor a template"};
  EXPECT_EQ(pare_encode_chat(model, &message, 1, nullptr, 0), -1);
  EXPECT_NE(std::string(pare_error()).find("tokenizer"), std::string::npos) << pare_error();
  EXPECT_EQ(pare_model_is_end(model, 1), 0);
  pare_sampler_destroy(sampler);
  pare_session_destroy(session);
  pare_model_close(model);
}

}  // namespace
}  // namespace pare::api

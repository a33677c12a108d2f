#include "formats/hf_directory.h"

#include "formats/test_support.h"

namespace pare {
namespace {

using testing_support::Bytes;
using testing_support::expect_error;
using testing_support::TempDirectory;

std::string safetensors_with(const char* name) {
  const std::string header =
      fmt::format(R"({{"{}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}})", name);
  return Bytes().u64(header.size()).raw(header).zeros(8).str();
}

TEST(HfDirectoryTest, SingleFileWithEverythingBeside) {
  TempDirectory d;
  d.write("config.json", R"({"model_type":"llama"})");
  d.write("generation_config.json", R"({"temperature":0.5})");
  d.write("tokenizer_config.json", R"({"chat_template":"from config"})");
  d.write("special_tokens_map.json", R"({"eos_token":"</s>"})");
  d.write("tokenizer.json", R"({"model":{"type":"BPE"}})");
  d.write("tokenizer.model", "bytes");
  d.write("model.safetensors", safetensors_with("w"));
  const auto opened = HfDirectory::open(d.path());
  ASSERT_OK(opened);
  const HfDirectory& hf = **opened;
  EXPECT_EQ(hf.config()["model_type"], "llama");
  EXPECT_EQ(hf.generation_config()["temperature"], 0.5);
  EXPECT_EQ(hf.special_tokens_map()["eos_token"], "</s>");
  EXPECT_EQ((*hf.read_json_file("tokenizer.json"))["model"]["type"], "BPE");
  EXPECT_EQ((*hf.open_file("tokenizer.model"))->bytes().size(), 5u);
  ASSERT_NE(hf.default_chat_template(), nullptr);
  EXPECT_EQ(*hf.default_chat_template(), "from config");
  ASSERT_EQ(hf.tensors()->tensors().size(), 1u);
  EXPECT_EQ(hf.tensors()->tensors()[0].name, "w");
  EXPECT_FALSE(hf.has("vocab.json"));
  expect_error(hf.open_file("vocab.json"), StatusCode::kNotFound, "vocab.json");
}

TEST(HfDirectoryTest, OptionalFilesMayBeAbsent) {
  TempDirectory d;
  d.write("config.json", "{}");
  d.write("model.safetensors", safetensors_with("w"));
  const auto hf = HfDirectory::open(d.path());
  ASSERT_OK(hf);
  EXPECT_TRUE((*hf)->generation_config().is_null());
  EXPECT_TRUE((*hf)->chat_templates().empty());
  EXPECT_EQ((*hf)->default_chat_template(), nullptr);
}

TEST(HfDirectoryTest, ChatTemplates) {
  TempDirectory d;
  const auto open = [&](std::string_view config) {
    d.write("tokenizer_config.json", config);
    return HfDirectory::open(d.path(), {.weights = false});
  };
  const auto list = open(
      R"({"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]})");
  ASSERT_OK(list);
  ASSERT_EQ((*list)->chat_templates().size(), 2u);
  EXPECT_EQ((*list)->chat_templates()[1].name, "tool_use");
  EXPECT_EQ(*(*list)->default_chat_template(), "D");

  for (const char* bad : {R"({"chat_template":1})", R"({"chat_template":["x"]})",
                          R"({"chat_template":[{"name":"default"}]})",
                          R"({"chat_template":[{"name":1,"template":"x"}]})"}) {
    SCOPED_TRACE(bad);
    expect_error(open(bad), StatusCode::kCorrupt, "tokenizer_config.json: chat_template: found");
  }
  d.write("chat_template.jinja", "from file");
  const auto both = open(R"({"chat_template":"from config"})");
  ASSERT_OK(both);
  EXPECT_EQ(*(*both)->default_chat_template(), "from file");
  EXPECT_EQ((*both)->chat_templates().size(), 1u);
}

TEST(HfDirectoryTest, Shards) {
  TempDirectory d;
  d.write("config.json", "{}");
  d.write("model-00001-of-00002.safetensors", safetensors_with("a"));
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound,
               "shard model-00002-of-00002.safetensors is missing");
  d.write("model-00002-of-00002.safetensors", safetensors_with("b"));
  const auto without_index = HfDirectory::open(d.path());
  ASSERT_OK(without_index);
  EXPECT_EQ((*without_index)->tensors()->tensors().size(), 2u);

  d.write("model-00002-of-00002.safetensors", safetensors_with("a"));
  expect_error(HfDirectory::open(d.path()), StatusCode::kCorrupt, "tensor a is in more than one");

  d.write("model.safetensors.index.json",
          R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"gone.safetensors"}})");
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound, "gone.safetensors");
}

TEST(HfDirectoryTest, WhatCannotBeRead) {
  TempDirectory d;
  expect_error(HfDirectory::open(d.file("none")), StatusCode::kNotFound, "no such directory");
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound, "has no config.json");
  d.write("config.json", "[]");
  expect_error(HfDirectory::open(d.path()), StatusCode::kCorrupt, "found array");
  d.write("config.json", "{\"a\":" + std::string(1000, '['));
  expect_error(HfDirectory::open(d.path()), StatusCode::kCorrupt, "nested more than");
  d.write("config.json", "{}");
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound, "has no weights");
  d.write("model.gguf", "x");
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound, "name that file instead");
  d.write("training_args.bin", "x");
  expect_error(HfDirectory::open(d.path()), StatusCode::kNotFound, "name that file instead");
  d.write("pytorch_model.bin", "x");
  expect_error(HfDirectory::open(d.path()), StatusCode::kUnsupported,
               "pickled form (pytorch_model.bin)");
}

}  // namespace
}  // namespace pare

#include "model/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "model/arch/arch.h"
#include "model/test_support.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const fs::path kGolden = golden_logits_directory();

Result<Model> open(const fs::path& path) { return open_model(path.string(), {.tokenizer = false}); }

Model opened(const std::string& golden) {
  Result<Model> model = open(kGolden / golden);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

// A copy of a golden model whose config.json went through `edit`; removed with the object.
class Edited {
 public:
  Edited(const std::string& golden, const std::function<void(json*)>& edit)
      : path_(fs::path(testing::TempDir()) /
              (golden + "_" + testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(path_);
    fs::copy(kGolden / golden, path_);
    fs::remove(path_ / "expected.safetensors");
    json config = json::parse(std::ifstream(path_ / "config.json"));
    edit(&config);
    std::ofstream(path_ / "config.json") << config.dump();
  }
  ~Edited() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::vector<std::string> names(const ModelDesc& desc, const std::vector<int32_t>& tensors) {
  std::vector<std::string> result;
  for (int32_t t : tensors) result.push_back(desc.tensors[static_cast<size_t>(t)].name);
  return result;
}

const Site* find_site(const ModelDesc& desc, std::string_view name) {
  for (const Site& site : desc.sites) {
    if (site.name == name) return &site;
  }
  return nullptr;
}

std::vector<std::string> couplings_of(const ModelDesc& desc, Coupling::Kind kind, int block) {
  std::vector<std::string> result;
  for (const Coupling& c : desc.couplings) {
    if (c.kind != kind || desc.tensors[static_cast<size_t>(c.from)].block != block) continue;
    std::string text = names(desc, {c.from})[0] + " ->";
    for (const std::string& to : names(desc, c.to)) text += " " + to;
    result.push_back(text);
  }
  return result;
}

TEST(OpenHuggingFace, WritesTheKeysThatRuntimesRead) {
  const Model model = opened("llama");
  const gguf::Metadata& m = model.metadata;
  EXPECT_EQ(m.get_string("general.architecture").value(), "llama");
  EXPECT_EQ(m.get_string("general.type").value(), "model");
  EXPECT_EQ(m.get_string("general.name").value(), "llama");
  EXPECT_EQ(m.get_u32("general.file_type").value(), 32u);
  EXPECT_EQ(m.get_u32("general.quantization_version").value(), 2u);
  EXPECT_EQ(m.get_u32("llama.block_count").value(), 2u);
  EXPECT_EQ(m.get_u32("llama.context_length").value(), 128u);
  EXPECT_EQ(m.get_u32("llama.embedding_length").value(), 32u);
  EXPECT_EQ(m.get_u32("llama.feed_forward_length").value(), 48u);
  EXPECT_EQ(m.get_u32("llama.attention.head_count").value(), 4u);
  EXPECT_EQ(m.get_u32("llama.attention.head_count_kv").value(), 2u);
  EXPECT_EQ(m.get_u32("llama.rope.dimension_count").value(), 8u);
  EXPECT_EQ(m.get_u32("llama.vocab_size").value(), 64u);
  EXPECT_EQ(m.get_f32("llama.rope.freq_base").value(), 10000.0f);
  EXPECT_EQ(m.get_f32("llama.attention.layer_norm_rms_epsilon").value(), 1e-6f);
  EXPECT_EQ(m.find("llama.block_count")->type(), gguf::ValueType::kU32);
}

TEST(OpenHuggingFace, WritesRopeScaling) {
  const Model linear = opened("llama_rope_linear");
  EXPECT_EQ(linear.metadata.get_string("llama.rope.scaling.type").value(), "linear");
  EXPECT_EQ(linear.metadata.get_f32("llama.rope.scaling.factor").value(), 4.0f);
  EXPECT_EQ(linear.metadata.get_u32("general.file_type").value(), 1u);
  const Model yarn = opened("llama_rope_yarn");
  EXPECT_EQ(yarn.metadata.get_string("llama.rope.scaling.type").value(), "yarn");
  EXPECT_EQ(yarn.metadata.get_u32("llama.rope.scaling.original_context_length").value(), 32u);
  const Model longrope = opened("phi3_longrope_long");
  EXPECT_EQ(longrope.metadata.get_string("phi3.rope.scaling.type").value(), "longrope");
  EXPECT_NEAR(longrope.metadata.get_f32("phi3.rope.scaling.attn_factor").value(),
              std::sqrt(1.0 + std::log(4.0) / std::log(32.0)), 1e-6);
  EXPECT_GE(longrope.desc.find("rope_factors_short.weight"), 0);
}

// 1 for short waves, the factor for long ones, between them in between: the settings are such
// that all three occur.
TEST(OpenHuggingFace, ComputesLlama3Divisors) {
  const Model model = opened("llama_rope_llama3");
  const int64_t index = model.tensors->find("rope_freqs.weight");
  ASSERT_GE(index, 0);
  Result<PackedTensor> tensor = model.tensors->read(static_cast<size_t>(index));
  ASSERT_TRUE(tensor.ok());
  ASSERT_EQ(tensor->shape, Shape{8});
  const auto* divisors = reinterpret_cast<const float*>(tensor->bytes.data());
  EXPECT_EQ(divisors[0], 1.0f);
  EXPECT_EQ(divisors[1], 1.0f);  // wave length 14.9, below 64 / 4
  // Wave length 35.3: smooth = (64 / 35.3 - 1) / 3.
  const double wave = 2 * 3.14159265358979 * std::pow(1000.0, 0.25);
  const double smooth = (64.0 / wave - 1.0) / 3.0;
  EXPECT_NEAR(divisors[2], 1.0 / ((1.0 - smooth) / 8.0 + smooth), 1e-5);
  EXPECT_EQ(divisors[7], 8.0f);
}

TEST(OpenHuggingFace, GemmaSaysOnlyWhatItsReadersWouldNotAssume) {
  const Model plain = opened("gemma2");
  EXPECT_EQ(plain.metadata.get_u32("gemma2.attention.sliding_window").value(), 8u);
  EXPECT_FALSE(plain.metadata.contains("gemma2.attention.sliding_window_pattern"));
  EXPECT_FALSE(plain.metadata.contains("gemma2.attention.scale"));
  EXPECT_EQ(plain.metadata.get_f32("gemma2.final_logit_softcapping").value(), 5.0f);
  const Model scaled = opened("gemma2_scaled_queries");
  EXPECT_NEAR(scaled.metadata.get_f32("gemma2.attention.scale").value(), 1 / std::sqrt(24.0), 1e-6);
  const Model gemma3 = opened("gemma3");  // one full block in two, where six is usual
  EXPECT_TRUE(gemma3.metadata.contains("gemma3.attention.sliding_window_pattern"));
  EXPECT_EQ(gemma3.metadata.get_f32("gemma3.rope.freq_base_swa").value(), 50.0f);
}

TEST(Description, LlamaSitesAndCouplings) {
  const ModelDesc desc = opened("llama").desc;
  ASSERT_EQ(desc.sites.size(), 2u * 4 + 1);
  const Site* attention = find_site(desc, "blk.1.attn_q");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->width, 32);
  EXPECT_EQ(attention->block, 1);
  EXPECT_THAT(names(desc, attention->readers),
              ElementsAre("blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight"));
  EXPECT_THAT(names(desc, find_site(desc, "blk.0.ffn_gate")->readers),
              ElementsAre("blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"));
  EXPECT_EQ(find_site(desc, "blk.0.ffn_down")->width, 48);
  EXPECT_THAT(names(desc, find_site(desc, "output")->readers), ElementsAre("output.weight"));

  EXPECT_THAT(
      couplings_of(desc, Coupling::Kind::kNormReaders, 0),
      UnorderedElementsAre("blk.0.attn_norm.weight -> blk.0.attn_q.weight blk.0.attn_k.weight "
                           "blk.0.attn_v.weight",
                           "blk.0.ffn_norm.weight -> blk.0.ffn_gate.weight blk.0.ffn_up.weight"));
  EXPECT_THAT(couplings_of(desc, Coupling::Kind::kValueOutput, 1),
              ElementsAre("blk.1.attn_v.weight -> blk.1.attn_output.weight"));
  EXPECT_THAT(couplings_of(desc, Coupling::Kind::kUpDown, 1),
              ElementsAre("blk.1.ffn_up.weight -> blk.1.ffn_down.weight"));
  EXPECT_THAT(couplings_of(desc, Coupling::Kind::kNormReaders, -1),
              ElementsAre("output_norm.weight -> output.weight"));
  EXPECT_TRUE(couplings_of(desc, Coupling::Kind::kTiedEmbedding, -1).empty());
}

TEST(Description, TiedOutputFollowsNoNorm) {
  const ModelDesc desc = opened("qwen2").desc;
  EXPECT_TRUE(desc.hparams.tied_output);
  EXPECT_EQ(desc.find("output.weight"), -1);
  EXPECT_THAT(couplings_of(desc, Coupling::Kind::kTiedEmbedding, -1),
              ElementsAre("token_embd.weight -> token_embd.weight"));
  EXPECT_TRUE(couplings_of(desc, Coupling::Kind::kNormReaders, -1).empty());
  EXPECT_THAT(names(desc, find_site(desc, "token_embd")->readers),
              ElementsAre("token_embd.weight"));
}

// Norms after a half block feed the stream; GPT-2's FFN has an activation between up and down.
TEST(Description, OnlyExactCouplings) {
  const ModelDesc gemma = opened("gemma3").desc;
  EXPECT_EQ(couplings_of(gemma, Coupling::Kind::kNormReaders, 0).size(), 2u);
  const ModelDesc gpt2 = opened("gpt2").desc;
  EXPECT_TRUE(couplings_of(gpt2, Coupling::Kind::kUpDown, 0).empty());
  EXPECT_THAT(couplings_of(gpt2, Coupling::Kind::kValueOutput, 0),
              ElementsAre("blk.0.attn_qkv.weight -> blk.0.attn_output.weight"));
  const ModelDesc phi3 = opened("phi3").desc;
  EXPECT_THAT(couplings_of(phi3, Coupling::Kind::kUpDown, 0),
              ElementsAre("blk.0.ffn_up.weight -> blk.0.ffn_down.weight"));
}

TEST(Description, QuantizableAreTheMatricesOfLinearOperations) {
  const ModelDesc desc = opened("gpt2").desc;
  EXPECT_FALSE(desc.tensors[static_cast<size_t>(desc.find("position_embd.weight"))].quantizable);
  EXPECT_TRUE(desc.tensors[static_cast<size_t>(desc.find("token_embd.weight"))].quantizable);
  EXPECT_TRUE(desc.tensors[static_cast<size_t>(desc.find("blk.1.attn_qkv.weight"))].quantizable);
  EXPECT_FALSE(desc.tensors[static_cast<size_t>(desc.find("blk.1.attn_qkv.bias"))].quantizable);
}

struct Refusal {
  const char* what;
  const char* golden;
  std::function<void(json*)> edit;
  std::vector<std::string> message;  // must occur in it
};

TEST(OpenHuggingFace, RefusesAndSaysWhy) {
  const Refusal refusals[] = {
      {"a block too many",
       "llama",
       [](json* c) { (*c)["num_hidden_layers"] = 3; },
       {"blk.2.attn_norm.weight", "missing"}},
      {"a block too few",
       "llama",
       [](json* c) { (*c)["num_hidden_layers"] = 1; },
       {"blk.1.", "no place"}},
      {"another width",
       "llama",
       [](json* c) { (*c)["intermediate_size"] = 50; },
       {"blk.0.ffn_gate.weight", "[48, 32]", "[50, 32]"}},
      {"another vocabulary",
       "llama",
       [](json* c) { (*c)["vocab_size"] = 63; },
       {"token_embd.weight", "64", "63"}},
      {"heads that do not divide",
       "llama",
       [](json* c) { (*c)["num_key_value_heads"] = 3; },
       {"4 heads", "3 key-value heads"}},
      {"an unknown class",
       "llama",
       [](json* c) { (*c)["architectures"] = {"BertModel"}; },
       {"BertModel", "LlamaForCausalLM"}},
      {"an activation",
       "llama",
       [](json* c) { (*c)["hidden_act"] = "relu"; },
       {"hidden_act", "relu", "silu"}},
      {"quantized already",
       "llama",
       [](json* c) {
         (*c)["quantization_config"] = {{"quant_method", "gptq"}};
       },
       {"quantization_config"}},
      {"a rope we do not know",
       "llama",
       [](json* c) {
         (*c)["rope_scaling"] = {{"rope_type", "spiral"}, {"factor", 2}};
       },
       {"spiral"}},
      {"text for a number",
       "llama",
       [](json* c) { (*c)["hidden_size"] = "32"; },
       {"hidden_size", "\"32\""}},
      {"a huge number",
       "llama",
       [](json* c) { (*c)["num_hidden_layers"] = 1ll << 40; },
       {"num_hidden_layers", "1099511627776"}},
      {"no heads",
       "llama",
       [](json* c) { (*c)["num_attention_heads"] = 0; },
       {"num_attention_heads"}},
      {"no biases",
       "llama",
       [](json* c) { (*c)["architectures"] = {"Qwen2ForCausalLM"}; },
       {"blk.0.attn_q.bias", "missing"}},
      {"tensors of another family",
       "gpt2",
       [](json* c) { (*c)["scale_attn_by_inverse_layer_idx"] = true; },
       {"scale_attn_by_inverse_layer_idx"}},
      {"an output matrix that is not there",
       "qwen2",
       [](json* c) { (*c)["tie_word_embeddings"] = false; },
       {"lm_head.weight"}},
      {"divisors of another length",
       "phi3_longrope_long",
       [](json* c) {
         (*c)["rope_scaling"]["long_factor"] = {1.0, 2.0};
       },
       {"rope_factors_long.weight", "[2]", "[4]"}},
      {"half a longrope",
       "phi3_longrope_long",
       [](json* c) { (*c)["rope_scaling"].erase("short_factor"); },
       {"short_factor"}},
      {"layer types of another depth",
       "gemma2",
       [](json* c) { (*c)["layer_types"] = {"full_attention"}; },
       {"layer_types"}},
  };
  for (const Refusal& refusal : refusals) {
    const Edited copy(refusal.golden, refusal.edit);
    const Result<Model> model = open(copy.path());
    ASSERT_FALSE(model.ok()) << refusal.what;
    EXPECT_THAT(model.status().message(), HasSubstr(copy.path().string())) << refusal.what;
    for (const std::string& part : refusal.message) {
      EXPECT_THAT(model.status().message(), HasSubstr(part)) << refusal.what;
    }
  }
}

TEST(OpenHuggingFace, IgnoresTheOutputMatrixOfATiedModel) {
  const Edited copy("llama", [](json* c) { (*c)["tie_word_embeddings"] = true; });
  Result<Model> model = open(copy.path());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_TRUE(model->desc.hparams.tied_output);
}

TEST(OpenGguf, ChecksTensorsToo) {
  const Model model = opened("llama");
  const std::string path = testing::TempDir() + "/open_test_checks.gguf";
  Model wrong = model;
  wrong.metadata.set("llama.feed_forward_length", uint32_t{64});
  ASSERT_TRUE(write_f32_gguf(wrong, path).ok());
  const Result<Model> reopened = open_model(path);
  ASSERT_FALSE(reopened.ok());
  EXPECT_THAT(reopened.status().message(), HasSubstr(path));
  EXPECT_THAT(reopened.status().message(), HasSubstr("blk.0.ffn_gate.weight is [48, 32]"));
  EXPECT_THAT(reopened.status().message(), HasSubstr("expected [64, 32]"));
  fs::remove(path);
}

TEST(OpenGguf, RefusesExpertsAndUnknownArchitectures) {
  const Model model = opened("llama");
  gguf::Metadata experts = model.metadata;
  experts.set("llama.expert_count", uint32_t{8});
  EXPECT_EQ(describe_model(experts, model.tensors->tensors()).status().code(),
            StatusCode::kUnsupported);
  gguf::Metadata other = model.metadata;
  other.set("general.architecture", gguf::Value("mamba"));
  const Status status = describe_model(other, model.tensors->tensors()).status();
  EXPECT_THAT(status.message(), HasSubstr("mamba"));
  EXPECT_THAT(status.message(), HasSubstr("gemma3"));
}

TEST(OpenGguf, RefusesAVocabularyOfNoneAndOneWithoutAModel) {
  const Model model = opened("llama");
  const Status bare = describe_model(model.metadata, {}).status();
  EXPECT_EQ(bare.code(), StatusCode::kNotFound);
  EXPECT_THAT(bare.message(), HasSubstr("no tensors"));
  gguf::Metadata none = model.metadata;
  none.set("llama.vocab_size", uint32_t{0});
  std::vector<TensorInfo> tensors(model.tensors->tensors().begin(), model.tensors->tensors().end());
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "token_embd.weight") tensor.shape = {0, tensor.shape[1]};
  }
  const Status status = describe_model(none, tensors).status();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_THAT(status.message(), HasSubstr("expected a row for each token"));
}

}  // namespace
}  // namespace pare

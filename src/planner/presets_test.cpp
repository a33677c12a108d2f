#include "planner/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "codecs/codec.h"

namespace pare {
namespace {

using enum CodecId;
using ::testing::HasSubstr;

// SmolLM2's 30 blocks, with tied embeddings, and the width as a parameter.
std::vector<PresetTensor> small_llama(int64_t width, bool tied = true, int n_layer = 30) {
  std::vector<PresetTensor> tensors = {{"token_embd.weight", {49152, width}, kF16},
                                       {"output_norm.weight", {width}, kF32}};
  if (!tied) tensors.push_back({"output.weight", {49152, width}, kF16});
  for (int i = 0; i < n_layer; ++i) {
    const auto add = [&](const char* part, Shape shape) {
      tensors.push_back({fmt::format("blk.{}.{}", i, part), shape, kF16});
    };
    add("attn_norm.weight", {width});
    add("attn_q.weight", {width, width});
    add("attn_k.weight", {width / 3, width});
    add("attn_v.weight", {width / 3, width});
    add("attn_output.weight", {width, width});
    add("ffn_norm.weight", {width});
    add("ffn_gate.weight", {1536, width});
    add("ffn_up.weight", {1536, width});
    add("ffn_down.weight", {width, 1536});
  }
  return tensors;
}

const PresetModel kSmall = {"llama", 30, 9, 3, 0};

std::map<std::string, PresetChoice> choose(const char* preset, const PresetModel& model,
                                           const std::vector<PresetTensor>& tensors,
                                           const PresetOptions& options = {}) {
  auto choices = choose_codecs(*find_preset(preset), model, tensors, options);
  EXPECT_TRUE(choices.ok()) << choices.status().message();
  std::map<std::string, PresetChoice> by_name;
  for (size_t i = 0; i < tensors.size(); ++i) by_name[tensors[i].name] = (*choices)[i];
  return by_name;
}

// Layers whose `part` got `codec`.
std::vector<int> layers_with(const std::map<std::string, PresetChoice>& choices, const char* part,
                             CodecId codec) {
  std::vector<int> layers;
  for (int i = 0; i < 30; ++i)
    if (choices.at(fmt::format("blk.{}.{}", i, part)).codec == codec) layers.push_back(i);
  return layers;
}

TEST(Presets, NamesAndFileTypes) {
  EXPECT_EQ(all_presets().size(), 36u);
  EXPECT_EQ(find_preset("q4_k_m")->file_type, 15);
  EXPECT_EQ(find_preset("Q4_K"), find_preset("Q4_K_M"));
  EXPECT_EQ(find_preset("q3_k")->file_type, 12);
  EXPECT_EQ(find_preset("IQ2_S")->base, kIQ2_XS);
  EXPECT_EQ(find_preset("IQ2_M")->base, kIQ2_S);
  EXPECT_EQ(find_preset("mxfp4_moe")->file_type, 38);
  EXPECT_EQ(find_preset("Q4_K_X"), nullptr);
  EXPECT_EQ(find_preset(""), nullptr);
}

TEST(Presets, RolesComeFromNames) {
  EXPECT_EQ(preset_role("output.weight"), PresetRole::kOutput);
  EXPECT_EQ(preset_role("blk.0.attn_output.weight"), PresetRole::kAttentionOutput);
  EXPECT_EQ(preset_role("blk.0.attn_qkv.weight"), PresetRole::kAttentionV);
  EXPECT_EQ(preset_role("blk.0.attn_kv_b.weight"), PresetRole::kAttentionV);
  EXPECT_EQ(preset_role("blk.0.attn_k_b.weight"), PresetRole::kOther);
  EXPECT_EQ(preset_role("blk.0.ffn_down_exps.weight"), PresetRole::kFfnDown);
}

TEST(Presets, NormsRoutersAndVectorsAreKept) {
  EXPECT_TRUE(preset_quantizes("blk.0.attn_q.weight", {8, 8}));
  EXPECT_FALSE(preset_quantizes("blk.0.attn_q.bias", {8, 8}));
  EXPECT_FALSE(preset_quantizes("blk.0.attn_q.weight", {1, 8}));
  EXPECT_FALSE(preset_quantizes("blk.0.attn_q_norm.weight", {8, 8}));
  EXPECT_FALSE(preset_quantizes("blk.0.ffn_gate_inp.weight", {8, 8}));
  EXPECT_FALSE(preset_quantizes("position_embd.weight", {8, 8}));
  const auto choices = choose("Q4_K_M", kSmall, small_llama(768));
  EXPECT_EQ(choices.at("output_norm.weight").codec, kF32);
  EXPECT_FALSE(choices.at("output_norm.weight").quantized);
}

TEST(Presets, MoreBitsInTheFirstLastAndEveryThirdLayer) {
  const auto choices = choose("Q4_K_M", kSmall, small_llama(768));
  // n / 8 = 3, 7 n / 8 = 26, and every third layer from 5 on.
  const std::vector<int> more = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29};
  EXPECT_EQ(layers_with(choices, "attn_v.weight", kQ6_K), more);
  EXPECT_EQ(layers_with(choices, "ffn_down.weight", kQ6_K), more);
  EXPECT_EQ(layers_with(choices, "attn_q.weight", kQ4_K).size(), 30u);
  EXPECT_EQ(choices.at("token_embd.weight").codec, kQ6_K);  // tied: the output matrix
  EXPECT_EQ(choices.at("blk.5.attn_v.weight").why, "Q4_K_M: attn_v, layer 6 of 30");
}

TEST(Presets, RowsOf576FallBack) {
  const auto choices = choose("Q4_K_M", kSmall, small_llama(576));
  EXPECT_EQ(choices.at("token_embd.weight").codec, kQ8_0);
  EXPECT_EQ(choices.at("blk.0.attn_v.weight").codec, kQ8_0);    // from Q6_K
  EXPECT_EQ(choices.at("blk.3.attn_v.weight").codec, kQ5_0);    // from Q4_K
  EXPECT_EQ(choices.at("blk.0.ffn_down.weight").codec, kQ6_K);  // 1536 columns divide
  EXPECT_TRUE(choices.at("blk.3.attn_v.weight").fell_back);
  EXPECT_THAT(choices.at("blk.3.attn_v.weight").why, HasSubstr("rows of 576"));
  EXPECT_FALSE(choices.at("blk.0.ffn_down.weight").fell_back);
}

TEST(Presets, FallbacksOfEveryWideCodec) {
  const std::vector<std::pair<const char*, CodecId>> expected = {
      {"Q2_K", kQ4_0},    {"Q3_K_S", kQ4_0},   {"Q5_K_S", kQ5_1},    {"Q6_K", kQ8_0},
      {"IQ1_S", kIQ4_NL}, {"IQ1_M", kIQ4_NL},  {"IQ2_XXS", kIQ4_NL}, {"IQ2_M", kIQ4_NL},
      {"IQ3_S", kIQ4_NL}, {"IQ4_XS", kIQ4_NL}, {"TQ1_0", kQ4_0},     {"TQ2_0", kQ4_0}};
  for (const auto& [preset, codec] : expected) {
    const auto choices = choose(preset, kSmall, small_llama(576), {.has_imatrix = true});
    EXPECT_EQ(choices.at("blk.10.ffn_gate.weight").codec, codec) << preset;
  }
}

TEST(Presets, RowsThatNoBlockFitsBecomeF16) {
  std::vector<PresetTensor> tensors = {{"blk.0.attn_q.weight", {64, 40}, kF32}};
  EXPECT_EQ(choose("Q4_K_M", kSmall, tensors).begin()->second.codec, kF16);
  EXPECT_EQ(choose("Q4_0", kSmall, tensors).begin()->second.codec, kF16);
}

TEST(Presets, NoFallbackIsAnErrorThatNamesTheTensor) {
  std::vector<PresetTensor> tensors = {{"blk.0.attn_q.weight", {64, 96}, kF32}};
  const auto choices = choose_codecs(*find_preset("Q1_0"), kSmall, tensors, {});
  ASSERT_FALSE(choices.ok());
  EXPECT_THAT(choices.status().message(), HasSubstr("blk.0.attn_q.weight"));
  EXPECT_THAT(choices.status().message(), HasSubstr("96"));
}

TEST(Presets, AnImatrixChangesTheEarlyDownMatricesOfQ4_0) {
  const auto without = choose("Q4_0", kSmall, small_llama(576));
  EXPECT_TRUE(layers_with(without, "ffn_down.weight", kQ4_1).empty());
  const auto with = choose("Q4_0", kSmall, small_llama(576), {.has_imatrix = true});
  EXPECT_EQ(layers_with(with, "ffn_down.weight", kQ4_1), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(layers_with(choose("Q5_0", kSmall, small_llama(576), {.has_imatrix = true}),
                        "ffn_down.weight", kQ5_1),
            (std::vector<int>{0, 1, 2}));
}

TEST(Presets, TheUserBeatsThePreset) {
  auto tensors = small_llama(768, /*tied=*/false);
  for (PresetTensor& tensor : tensors)
    if (tensor.name == "blk.0.attn_q.weight") tensor.forced = kQ8_0;
  const auto choices =
      choose("Q4_K_M", kSmall, tensors, {.output = kQ5_K, .token_embedding = kQ3_K});
  EXPECT_EQ(choices.at("blk.0.attn_q.weight").codec, kQ8_0);
  EXPECT_EQ(choices.at("output.weight").codec, kQ5_K);
  EXPECT_EQ(choices.at("token_embd.weight").codec, kQ3_K);
  // Also over a float file type, where llama-quantize forgets it, and over "pure".
  EXPECT_EQ(choose("F16", kSmall, tensors).at("blk.0.attn_q.weight").codec, kQ8_0);
  const auto pure = choose("Q4_K_M", kSmall, tensors, {.pure = true});
  EXPECT_EQ(pure.at("blk.0.attn_q.weight").codec, kQ8_0);
  EXPECT_EQ(pure.at("output.weight").codec, kQ4_K);
  EXPECT_EQ(layers_with(pure, "attn_v.weight", kQ4_K).size(), 30u);
}

TEST(Presets, TheOrderOfTheTensorsDoesNotMatter) {
  auto tensors = small_llama(768, /*tied=*/false);
  const auto expected = choose("Q3_K_M", kSmall, tensors);
  std::ranges::reverse(tensors);
  for (const auto& [name, choice] : choose("Q3_K_M", kSmall, tensors))
    EXPECT_EQ(choice.codec, expected.at(name).codec) << name;
}

TEST(Presets, EightExpertsGetQ8_0Attention) {
  const PresetModel mixtral = {"llama", 30, 32, 8, 8};
  const auto choices = choose("Q4_K_M", mixtral, small_llama(768));
  EXPECT_EQ(choices.at("blk.4.attn_v.weight").codec, kQ8_0);
  EXPECT_EQ(choices.at("blk.4.attn_k.weight").codec, kQ8_0);
  EXPECT_EQ(choices.at("blk.4.attn_output.weight").codec, kQ5_K);
  EXPECT_EQ(choices.at("blk.4.attn_q.weight").codec, kQ4_K);
  EXPECT_EQ(choose("IQ2_XS", mixtral, small_llama(768), {.has_imatrix = true})
                .at("blk.4.attn_k.weight")
                .codec,
            kQ4_K);
}

TEST(Presets, SaysWhatCannotGoWithoutAnImatrix) {
  const auto choices = choose("Q2_K_S", kSmall, small_llama(768, false));
  EXPECT_TRUE(choices.at("blk.9.ffn_up.weight").needs_imatrix);
  EXPECT_FALSE(choices.at("token_embd.weight").needs_imatrix);
  EXPECT_FALSE(choose("Q2_K", kSmall, small_llama(768)).at("blk.9.ffn_up.weight").needs_imatrix);
  EXPECT_TRUE(choose("IQ2_XS", kSmall, small_llama(768)).at("blk.9.ffn_up.weight").needs_imatrix);
}

}  // namespace
}  // namespace pare

// Compares every preset with the published snapshots of llama-quantize's choices on 12 models.
// A snapshot lists the tensors whose type differs from the section's default; the tensors of a
// model are those it names anywhere, plus those that facts about the architecture imply.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "codecs/codec.h"
#include "planner/presets.h"

namespace pare {
namespace {

// Row lengths by the part of the name after the block; others have n_embd columns.
struct GoldenModel {
  const char* file;
  const char* arch;
  std::map<std::string, int64_t> columns;
};

const std::vector<GoldenModel>& golden_models() {
  static const std::vector<GoldenModel> kModels = {
      {"deepseek-v3.1",
       "deepseek2",
       {{"attn_k_b", 128},
        {"attn_output", 16384},
        {"attn_q_b", 1536},
        {"ffn_down", 18432},
        {"ffn_down_exps", 2048},
        {"ffn_down_shexp", 2048}}},
      {"gemma-3-4b-it", "gemma3", {{"attn_output", 2048}, {"ffn_down", 10240}}},
      {"glm-4.6v",
       "glm4moe",
       {{"attn_output", 12288},
        {"ffn_down", 10944},
        {"ffn_down_exps", 1408},
        {"ffn_down_shexp", 1408}}},
      {"gpt-oss-120b", "gpt-oss", {{"attn_output", 4096}}},
      {"meta-llama-3.1-70b-instruct", "llama", {{"ffn_down", 28672}}},
      {"nemotron-nano-3-30b-a3b",
       "nemotron_h_moe",
       {{"attn_output", 4096},
        {"ffn_down_exps", 1856},
        {"ffn_down_shexp", 3712},
        {"ssm_out", 4096}}},
      {"qwen3-0.6b", "qwen3", {{"attn_output", 2048}, {"ffn_down", 3072}}},
      {"qwen3-14b", "qwen3", {{"ffn_down", 17408}}},
      {"qwen3-coder-next",
       "qwen3next",
       {{"attn_output", 4096}, {"ffn_down_exps", 512}, {"ffn_down_shexp", 512}, {"ssm_out", 4096}}},
      {"qwen3.5-397b-a17b",
       "qwen35moe",
       {{"attn_output", 8192},
        {"ffn_down_exps", 1024},
        {"ffn_down_shexp", 1024},
        {"ssm_out", 8192}}},
      {"qwen3.6-27b", "qwen35", {{"attn_output", 6144}, {"ffn_down", 17408}, {"ssm_out", 6144}}},
      {"step-3.5-flash",
       "step35",
       {{"attn_output", 8192},
        {"ffn_down", 11264},
        {"ffn_down_exps", 1280},
        {"ffn_down_shexp", 1280}}},
  };
  return kModels;
}

struct Section {
  std::string preset;
  std::string default_type;
  std::vector<std::string> lines;
};

struct Golden {
  std::map<std::string, int> facts;  // "n_embd" -> 4096
  std::vector<Section> sections;
};

Golden read_golden(const std::filesystem::path& path) {
  Golden golden;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("# n_embd")) {
      std::ranges::replace(line, ',', ' ');
      std::istringstream words(line.substr(2));
      for (std::string word; words >> word;) {
        const size_t equals = word.find('=');
        golden.facts[word.substr(0, equals)] = std::stoi(word.substr(equals + 1));
      }
    } else if (line.starts_with("[")) {
      const size_t close = line.find(']');
      golden.sections.push_back({line.substr(1, close - 1), line.substr(close + 2), {}});
    } else if (!line.empty() && line[0] != '#') {
      golden.sections.back().lines.push_back(line);
    }
  }
  return golden;
}

// "blk.3.ffn_down_exps.weight" -> "ffn_down_exps"
std::string part_of(const std::string& name) {
  const size_t end = name.rfind('.');
  const size_t begin = name.rfind('.', end - 1);
  return begin == std::string::npos ? name.substr(0, end) : name.substr(begin + 1, end - begin - 1);
}

std::vector<PresetTensor> tensors_of(const GoldenModel& model, const Golden& golden) {
  std::set<std::string> names = {"token_embd.weight"};
  for (const Section& section : golden.sections)
    for (const std::string& line : section.lines) {
      const std::string name = line.substr(0, line.find(' '));
      names.insert(name);
      // Stacks of experts stay at the default nearly everywhere; where a layer has a shared
      // expert, it has the stack too.
      if (const size_t at = name.find("_shexp"); at != std::string::npos)
        names.insert(name.substr(0, at) + "_exps.weight");
    }
  std::vector<PresetTensor> tensors;
  for (const std::string& name : names) {
    const std::string part = part_of(name);
    const auto own = model.columns.find(part);
    const int64_t columns = own != model.columns.end() ? own->second : golden.facts.at("n_embd");
    const bool stack = part.ends_with("_exps") || part == "attn_k_b";
    tensors.push_back({name, stack ? Shape{2, 2, columns} : Shape{2, columns}, CodecId::kF32, {}});
  }
  // The order of the snapshot: outside the blocks first, then block by block.
  const auto block = [](const std::string& name) {
    return name.starts_with("blk.") ? std::stoi(name.substr(4)) : -1;
  };
  std::ranges::stable_sort(tensors, {}, [&](const PresetTensor& t) { return block(t.name); });
  return tensors;
}

std::string gguf_type_name(CodecId id) {
  std::string name = codec(id).name;  // the snapshots write "q4_K" and "iq2_xxs"
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.ends_with("_k")) name.back() = 'K';
  return name;
}

// Test names and failures show the model, not its bytes.
void PrintTo(const GoldenModel& model, std::ostream* out) { *out << model.file; }

class PresetGolden : public ::testing::TestWithParam<GoldenModel> {};

TEST_P(PresetGolden, EqualsTheSnapshotLineByLine) {
  const auto path = std::filesystem::path(PARE_SOURCE_DIR) / "../shared/facts/golden_mixtures" /
                    (std::string(GetParam().file) + ".schema");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no snapshots beside the repository";
  const Golden golden = read_golden(path);
  ASSERT_EQ(golden.sections.size(), 33u);
  const std::vector<PresetTensor> tensors = tensors_of(GetParam(), golden);
  const auto fact = [&](const char* name) {
    const auto found = golden.facts.find(name);
    return found == golden.facts.end() ? 0 : found->second;
  };
  const PresetModel model = {GetParam().arch, fact("n_layer"), fact("n_head"), fact("n_head_kv"),
                             fact("n_expert")};
  for (const Section& section : golden.sections) {
    const Preset* preset = find_preset(section.preset);
    ASSERT_NE(preset, nullptr) << section.preset;
    EXPECT_EQ(gguf_type_name(preset->base), section.default_type);
    const auto choices = choose_codecs(*preset, model, tensors, {});
    ASSERT_TRUE(choices.ok()) << section.preset << ": " << choices.status().message();
    std::vector<std::string> lines;
    for (size_t i = 0; i < tensors.size(); ++i)
      if ((*choices)[i].codec != preset->base)
        lines.push_back(tensors[i].name + " " + gguf_type_name((*choices)[i].codec));
    EXPECT_EQ(lines, section.lines) << GetParam().file << " [" << section.preset << "]";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PresetGolden, ::testing::ValuesIn(golden_models()),
                         [](const auto& model) {
                           std::string name = model.param.file;
                           std::ranges::replace_if(
                               name, [](unsigned char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

}  // namespace
}  // namespace pare

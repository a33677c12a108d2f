#include "model/tokenizer/gguf_to_hf.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "model/tokenizer/gguf_spec.h"
#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kSpaceMark[] = "\xe2\x96\x81";

Json added_tokens(const TokenizerSpec& spec) {
  Json list = Json::array();
  for (const AddedToken& token : spec.added) {
    list.push_back({{"id", token.id},
                    {"content", token.text},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", false},
                    {"special", token.special}});
  }
  return list;
}

// With the added tokens: the `tokenizers` package numbers those that are not there anew, behind
// all others. What only fills up ids is left out of byte-level vocabularies.
Json vocabulary(const TokenizerSpec& spec) {
  Json vocab = Json::object();
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.byte_level && spec.types[i] == TokenType::kUnused) continue;
    // Straight into the object's storage: looking for a key that is there already, for each of
    // many, would take quadratic time, and tokens are known to be unique.
    vocab.get_ref<Json::object_t&>().Container::emplace_back(spec.tokens[i], i);
  }
  return vocab;
}

Json byte_level_pre_tokenizer(const TokenizerSpec& spec) {
  Json steps = Json::array();
  for (const PreTokenizerStep& step : spec.pre_tokenizer.steps()) {
    if (const auto* split = std::get_if<SplitStep>(&step)) {
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", split->regex.pattern()}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    }
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", false},
                   {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// The merges that SentencePiece does by scores, best first: every way to put a token together
// from two others.
Json merges_by_score(const TokenizerSpec& spec) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.types[i] == TokenType::kNormal) ids.try_emplace(spec.tokens[i], i);
  }
  std::vector<size_t> order;
  for (const auto& [text, id] : ids) order.push_back(id);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return spec.scores[a] != spec.scores[b] ? spec.scores[a] > spec.scores[b] : a < b;
  });
  Json merges = Json::array();
  for (size_t id : order) {
    const std::string_view text = spec.tokens[id];
    if (text.size() > AddedTokens::kMaxText) continue;  // not a token that merging could reach
    for (size_t cut = decode_utf8(text, 0).size; cut < text.size();
         cut += decode_utf8(text, cut).size) {
      const std::string_view left = text.substr(0, cut);
      const std::string_view right = text.substr(cut);
      if (ids.contains(left) && ids.contains(right)) {
        merges.push_back(Json::array({std::string(left), std::string(right)}));
      }
    }
  }
  return merges;
}

Json post_processor(const TokenizerSpec& spec) {
  Json single = Json::array();
  Json pair = Json::array();
  Json special = Json::object();
  const auto add = [&](const std::vector<int32_t>& ids) {
    for (int32_t id : ids) {
      const std::string& text = spec.tokens[static_cast<size_t>(id)];
      const Json item = {{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
      single.push_back(item);
      pair.push_back(item);
      special[text] = {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
    }
  };
  add(spec.prefix);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  pair.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  add(spec.suffix);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

Json byte_level_tokenizer(const TokenizerSpec& spec) {
  Json merges = Json::array();
  for (const auto& [left, right] : spec.merges) merges.push_back(Json::array({left, right}));
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", false},
                      {"use_regex", false}};
  const bool around = !spec.prefix.empty() || !spec.suffix.empty();
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(spec)},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level_pre_tokenizer(spec)},
          {"post_processor", around ? post_processor(spec) : bytes},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", spec.ignore_merges},
            {"vocab", vocabulary(spec)},
            {"merges", merges}}}};
}

Json sentencepiece_tokenizer(const TokenizerSpec& spec) {
  const Json replace = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}};
  Json normalizers = Json::array();
  if (spec.strip_first_space) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  }
  normalizers.push_back(replace);
  Json decoders = Json::array();
  decoders.push_back(
      {{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (spec.strip_first_space) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  Json unknown;
  if (spec.special.unk >= 0) unknown = spec.tokens[static_cast<size_t>(spec.special.unk)];
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(spec)},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(spec)},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", unknown},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", vocabulary(spec)},
            {"merges", merges_by_score(spec)}}}};
}

Json tokenizer_config(const TokenizerSpec& spec) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"add_bos_token", !spec.prefix.empty()},
                 {"add_eos_token", !spec.suffix.empty()}};
  const std::pair<const char*, int32_t> names[] = {{"bos_token", spec.special.bos},
                                                   {"eos_token", spec.special.eos},
                                                   {"unk_token", spec.special.unk},
                                                   {"pad_token", spec.special.pad}};
  for (const auto& [key, id] : names) {
    if (id >= 0) config[key] = spec.tokens[static_cast<size_t>(id)];
  }
  if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
  return config;
}

}  // namespace

Result<HfTokenizerFiles> tokenizer_to_hf(const gguf::Metadata& metadata) {
  PARE_ASSIGN_OR_RETURN(const TokenizerSpec spec, tokenizer_spec_from_gguf(metadata));
  if (spec.algorithm == TokenizerSpec::Algorithm::kWordPiece) {
    return unsupported("a WordPiece tokenizer is not written to tokenizer.json");
  }
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (!is_valid_utf8(spec.tokens[i])) {
      return corrupt("tokenizer.ggml.tokens: token {} is not UTF-8", i);
    }
  }
  const auto text = [](const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  return HfTokenizerFiles{
      text(spec.byte_level ? byte_level_tokenizer(spec) : sentencepiece_tokenizer(spec)),
      text(tokenizer_config(spec))};
}

}  // namespace pare

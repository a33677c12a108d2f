#include <charconv>
#include <unordered_set>

#include "model/tokenizer/hf_spec.h"
#include "model/tokenizer/json_access.h"
#include "model/tokenizer/sentencepiece_model.h"

namespace pare {
namespace {

using nlohmann::json;

constexpr char kSpaceMark[] = "\xe2\x96\x81";

// Tokens that added_tokens.json and tokenizer_config.json put on top of the model's pieces.
Status add_declared_tokens(const HfDirectory& directory, TokenizerSpec* spec) {
  const size_t entries = spec->tokens.size();
  if (directory.has("added_tokens.json")) {
    PARE_ASSIGN_OR_RETURN(const json added, directory.read_json_file("added_tokens.json"));
    for (const auto& [text, id] : added.items()) {
      const int32_t number = int_or(added, text.c_str(), -1);
      PARE_RETURN_IF_ERROR(put_token(number, text, TokenType::kUserDefined, entries, spec));
      spec->added.push_back({.id = number, .text = text, .special = false});
    }
  }
  const json* decoder = member(directory.tokenizer_config(), "added_tokens_decoder");
  if (decoder != nullptr && decoder->is_object()) {
    for (const auto& [key, item] : decoder->items()) {
      AddedToken token;
      std::from_chars(key.data(), key.data() + key.size(), token.id);
      token.text = string_or(item, "content", "");
      token.special = bool_or(item, "special", false);
      token.lstrip = bool_or(item, "lstrip", false);
      token.rstrip = bool_or(item, "rstrip", false);
      token.single_word = bool_or(item, "single_word", false);
      const TokenType type = token.special ? TokenType::kControl : TokenType::kUserDefined;
      PARE_RETURN_IF_ERROR(put_token(token.id, token.text, type, entries, spec));
      std::erase_if(spec->added, [&](const AddedToken& old) { return old.id == token.id; });
      spec->added.push_back(std::move(token));
    }
  }
  spec->scores.resize(spec->tokens.size(), -1000.0f);
  return {};
}

}  // namespace

Result<TokenizerSpec> spec_from_sentencepiece(const HfDirectory& directory) {
  const std::string label = directory.path() + "/tokenizer.model";
  PARE_ASSIGN_OR_RETURN(const auto file, directory.open_file("tokenizer.model"));
  PARE_ASSIGN_OR_RETURN(SentencePieceModel model, parse_sentencepiece_model(file->bytes(), label));
  if (model.model_type != SentencePieceModel::kBpe) {
    return unsupported("{}: model type {} (unigram, word or char); only BPE is supported", label,
                       model.model_type);
  }
  if (model.has_character_map || !model.escape_whitespaces) {
    return unsupported("{}: a normalization other than that of whitespace", label);
  }
  TokenizerSpec spec;
  spec.algorithm = TokenizerSpec::Algorithm::kScoredBpe;
  spec.byte_fallback = model.byte_fallback;
  for (SentencePieceModel::Piece& piece : model.pieces) {
    spec.tokens.push_back(std::move(piece.text));
    spec.scores.push_back(piece.score);
    spec.types.push_back(static_cast<TokenType>(piece.type));
  }
  std::vector<NormalizerStep> steps;
  PARE_ASSIGN_OR_RETURN(Regex space, Regex::literal(" "));
  if (model.remove_extra_whitespaces) {
    PARE_ASSIGN_OR_RETURN(Regex outer, Regex::compile(R"(\A +| +\z)"));
    PARE_ASSIGN_OR_RETURN(Regex runs, Regex::compile(" {2,}"));
    steps.push_back(ReplaceText{std::move(outer), ""});
    steps.push_back(ReplaceText{std::move(runs), " "});
  }
  if (model.add_dummy_prefix) steps.push_back(PrependText{kSpaceMark});
  steps.push_back(ReplaceText{std::move(space), kSpaceMark});
  spec.normalizer = Normalizer(std::move(steps));
  spec.strip_first_space = model.add_dummy_prefix;

  const auto valid = [&](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < spec.tokens.size() ? id : -1;
  };
  spec.special.unk = valid(model.unk_id);
  spec.special.bos = valid(model.bos_id);
  spec.special.eos = valid(model.eos_id);
  spec.special.pad = valid(model.pad_id);
  PARE_RETURN_IF_ERROR(add_declared_tokens(directory, &spec));
  std::unordered_set<int32_t> declared;
  for (const AddedToken& token : spec.added) declared.insert(token.id);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const TokenType type = spec.types[i];
    if (declared.contains(id)) continue;
    if (type == TokenType::kControl || type == TokenType::kUserDefined) {
      spec.added.push_back(
          {.id = id, .text = spec.tokens[i], .special = type == TokenType::kControl});
    }
  }
  set_prefix_by_class(directory.tokenizer_config(), &spec);
  return spec;
}

}  // namespace pare

#include "model/tokenizer/gguf_spec.h"

#include <algorithm>
#include <unordered_set>

#include "model/tokenizer/pre_kinds.h"
#include "model/tokenizer/special_tokens.h"

namespace pare {
namespace {

constexpr char kSpaceMark[] = "\xe2\x96\x81";

// The tokens, their types and scores.
Status read_vocabulary(const gguf::Metadata& metadata, TokenizerSpec* spec) {
  PARE_ASSIGN_OR_RETURN(const gguf::Array tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  const size_t n = tokens.size();
  std::unordered_set<std::string_view> seen;
  seen.reserve(n);
  spec->tokens.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const std::string_view text = tokens.string(i);
    if (!text.empty() && !seen.insert(text).second) {
      return corrupt("tokenizer.ggml.tokens: token {} '{}' occurs twice", i, text);
    }
    spec->tokens.emplace_back(text.empty() ? fmt::format("[EMPTY_{}]", i) : std::string(text));
  }
  spec->types.assign(n, TokenType::kNormal);
  if (metadata.contains("tokenizer.ggml.token_type")) {
    PARE_ASSIGN_OR_RETURN(const std::vector<int64_t> types,
                          metadata.get_ints("tokenizer.ggml.token_type"));
    if (types.size() < n) {
      return corrupt("tokenizer.ggml.token_type: {} entries for {} tokens", types.size(), n);
    }
    for (size_t i = 0; i < n; ++i) {
      const bool known = types[i] >= 1 && types[i] <= 6;
      spec->types[i] = known ? static_cast<TokenType>(types[i]) : TokenType::kUndefined;
    }
  }
  if (metadata.contains("tokenizer.ggml.scores")) {
    PARE_ASSIGN_OR_RETURN(spec->scores, metadata.get_floats("tokenizer.ggml.scores"));
    if (spec->scores.size() < n) {
      return corrupt("tokenizer.ggml.scores: {} entries for {} tokens", spec->scores.size(), n);
    }
  }
  spec->scores.resize(n, 0.0f);
  return {};
}

Status read_merges(const gguf::Metadata& metadata, TokenizerSpec* spec) {
  PARE_ASSIGN_OR_RETURN(const gguf::Array merges, metadata.get_strings("tokenizer.ggml.merges"));
  spec->merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges.string(i);
    const size_t space = merge.find(' ', 1);  // a part may itself begin with a space
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      return corrupt("tokenizer.ggml.merges: entry {} is '{}', expected two parts", i, merge);
    }
    spec->merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

// An id under `key` replaces the default; one outside the vocabulary counts as absent.
Status read_id(const gguf::Metadata& metadata, std::string_view key, size_t vocabulary,
               int32_t* id) {
  if (*id >= 0 && static_cast<size_t>(*id) >= vocabulary) *id = -1;
  const std::string full = fmt::format("tokenizer.ggml.{}", key);
  if (!metadata.contains(full)) return {};
  PARE_ASSIGN_OR_RETURN(const int64_t value, metadata.get_i64(full));
  if (value >= 0 && static_cast<uint64_t>(value) < vocabulary) *id = static_cast<int32_t>(value);
  return {};
}

Status read_special_ids(const gguf::Metadata& metadata, TokenizerSpec* spec) {
  SpecialIds& s = spec->special;
  const std::pair<const char*, int32_t*> ids[] = {
      {"bos_token_id", &s.bos},       {"eos_token_id", &s.eos},     {"eot_token_id", &s.eot},
      {"eom_token_id", &s.eom},       {"unknown_token_id", &s.unk}, {"padding_token_id", &s.pad},
      {"seperator_token_id", &s.sep},  // so spelled in the format
      {"cls_token_id", &s.cls},       {"mask_token_id", &s.mask}};
  for (const auto& [key, id] : ids) {
    PARE_RETURN_IF_ERROR(read_id(metadata, key, spec->tokens.size(), id));
  }
  return {};
}

// Control, user-defined and unknown tokens are looked for in the text. GGUF does not say which of
// them take the whitespace around them; for these models it is known.
void collect_added(std::string model_name, TokenizerSpec* spec) {
  std::transform(model_name.begin(), model_name.end(), model_name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool phi3 =
      model_name.find("phi-3") != std::string::npos || model_name.find("phi3") != std::string::npos;
  for (size_t i = 0; i < spec->tokens.size(); ++i) {
    const TokenType type = spec->types[i];
    if (type != TokenType::kControl && type != TokenType::kUserDefined &&
        type != TokenType::kUnknown) {
      continue;
    }
    AddedToken token;
    token.id = static_cast<int32_t>(i);
    token.text = spec->tokens[i];
    token.special = type != TokenType::kUserDefined;
    token.rstrip =
        phi3 && token.text != "<unk>" && token.text != "<s>" && token.text != "<|endoftext|>";
    spec->added.push_back(std::move(token));
  }
}

Result<SplitStep> split_step(const char* pattern, SplitBehavior behavior) {
  PARE_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
  return SplitStep{std::move(regex), behavior};
}

struct Defaults {
  bool add_bos = false, add_eos = false, add_sep = false;
};

Status set_up_bpe(const gguf::Metadata& metadata, TokenizerSpec* spec, Defaults* defaults) {
  spec->algorithm = TokenizerSpec::Algorithm::kRankedBpe;
  spec->byte_level = true;
  PARE_RETURN_IF_ERROR(read_merges(metadata, spec));
  PARE_ASSIGN_OR_RETURN(const std::string pre,
                        metadata.get_string("tokenizer.ggml.pre", "default"));
  const PreKind* kind = find_pre_kind(pre.empty() ? "default" : pre);
  if (kind == nullptr) {
    return unsupported("tokenizer.ggml.pre: '{}' is not a pre-tokenizer that this build knows",
                       pre);
  }
  PARE_ASSIGN_OR_RETURN(spec->pre_tokenizer, pre_tokenizer_of(*kind));
  spec->ignore_merges = kind->ignore_merges;
  defaults->add_bos = kind->add_bos;
  defaults->add_sep = kind->add_sep;
  spec->special.bos = spec->special.eos = 11;
  return {};
}

Status set_up_sentencepiece(const gguf::Metadata& metadata, TokenizerSpec* spec,
                            Defaults* defaults) {
  spec->algorithm = TokenizerSpec::Algorithm::kScoredBpe;
  spec->byte_fallback = true;
  PARE_ASSIGN_OR_RETURN(const bool add_space,
                        metadata.get_bool("tokenizer.ggml.add_space_prefix", true));
  std::vector<NormalizerStep> steps;
  if (add_space) steps.push_back(PrependText{kSpaceMark});
  PARE_ASSIGN_OR_RETURN(Regex space, Regex::literal(" "));
  steps.push_back(ReplaceText{std::move(space), kSpaceMark});
  spec->normalizer = Normalizer(std::move(steps));
  spec->strip_first_space = add_space;
  defaults->add_bos = true;
  spec->special.bos = 1;
  spec->special.eos = 2;
  spec->special.unk = 0;
  return {};
}

Status set_up_word_piece(const gguf::Metadata& metadata, TokenizerSpec* spec, Defaults* defaults) {
  spec->algorithm = TokenizerSpec::Algorithm::kWordPiece;
  spec->word_prefix = kSpaceMark;
  spec->continuation_prefix.clear();
  BertClean clean;
  PARE_ASSIGN_OR_RETURN(clean.lowercase,
                        metadata.get_bool("tokenizer.ggml.normalizer.lowercase", true));
  PARE_ASSIGN_OR_RETURN(
      clean.strip_accents,
      metadata.get_bool("tokenizer.ggml.normalizer.strip_accents", clean.lowercase));
  spec->normalizer = Normalizer({clean});
  PARE_ASSIGN_OR_RETURN(SplitStep spaces, split_step(R"(\s+)", SplitBehavior::kRemoved));
  PARE_ASSIGN_OR_RETURN(SplitStep marks,
                        split_step(R"([\p{P}!-/:-@\[-`{-~])", SplitBehavior::kIsolated));
  spec->pre_tokenizer = PreTokenizer({std::move(spaces), std::move(marks)});
  defaults->add_bos = defaults->add_sep = true;
  spec->special.bos = 101;
  spec->special.unk = 100;
  spec->special.sep = 102;
  spec->special.pad = 0;
  spec->special.mask = 103;
  return {};
}

}  // namespace

Result<TokenizerSpec> tokenizer_spec_from_gguf(const gguf::Metadata& metadata) {
  TokenizerSpec spec;
  if (!metadata.contains("tokenizer.ggml.model")) return not_found("the model has no tokenizer");
  PARE_ASSIGN_OR_RETURN(const std::string model, metadata.get_string("tokenizer.ggml.model"));
  PARE_RETURN_IF_ERROR(read_vocabulary(metadata, &spec));
  Defaults defaults;
  if (model == "gpt2") {
    PARE_RETURN_IF_ERROR(set_up_bpe(metadata, &spec, &defaults));
  } else if (model == "llama") {
    PARE_RETURN_IF_ERROR(set_up_sentencepiece(metadata, &spec, &defaults));
  } else if (model == "bert") {
    PARE_RETURN_IF_ERROR(set_up_word_piece(metadata, &spec, &defaults));
  } else {
    return unsupported("tokenizer.ggml.model: '{}'; this build knows gpt2, llama and bert", model);
  }
  PARE_RETURN_IF_ERROR(read_special_ids(metadata, &spec));
  find_end_tokens(&spec);
  PARE_ASSIGN_OR_RETURN(const std::string name, metadata.get_string("general.name", ""));
  collect_added(name, &spec);

  const auto flag = [&](const char* key, bool fallback) {
    return metadata.get_bool(fmt::format("tokenizer.ggml.{}", key), fallback);
  };
  PARE_ASSIGN_OR_RETURN(const bool add_bos, flag("add_bos_token", defaults.add_bos));
  PARE_ASSIGN_OR_RETURN(const bool add_eos, flag("add_eos_token", defaults.add_eos));
  PARE_ASSIGN_OR_RETURN(const bool add_sep, flag("add_sep_token", defaults.add_sep));
  if (add_bos && spec.special.bos >= 0) spec.prefix.push_back(spec.special.bos);
  if (add_eos && spec.special.eos >= 0) spec.suffix.push_back(spec.special.eos);
  if (model == "bert" && add_sep && spec.special.sep >= 0) spec.suffix = {spec.special.sep};
  PARE_ASSIGN_OR_RETURN(spec.chat_template, metadata.get_string("tokenizer.chat_template", ""));
  return spec;
}

}  // namespace pare

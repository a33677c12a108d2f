#include "model/tokenizer/hf_to_gguf.h"

#include <algorithm>
#include <unordered_map>

#include "model/tokenizer/hf_spec.h"
#include "model/tokenizer/json_access.h"
#include "model/tokenizer/pre_kinds.h"
#include "model/tokenizer/special_tokens.h"

namespace pare {
namespace {

using nlohmann::json;

// Tokens that are control tokens by their spelling, whatever the file says.
bool looks_special(std::string_view text) {
  for (std::string_view known : {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}) {
    if (text == known) return true;
  }
  return (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<｜") && text.ends_with("｜>")) ||
         (text.starts_with("<unused") && text.ends_with(">"));
}

std::string with_plain_spaces(std::string text) {
  static constexpr std::string_view kMark = "\xe2\x96\x81";
  for (size_t at = 0; (at = text.find(kMark, at)) != std::string::npos; ++at) {
    text.replace(at, kMark.size(), " ");
  }
  return text;
}

// Types and texts of added tokens in the form that GGUF readers expect.
void settle_added_tokens(TokenizerSpec* spec) {
  for (const AddedToken& token : spec->added) {
    TokenType& type = spec->types[token.id];
    if (type == TokenType::kByte) continue;
    if (token.special || looks_special(token.text)) {
      type = TokenType::kControl;
    } else {
      type = TokenType::kUserDefined;
      spec->tokens[token.id] = with_plain_spaces(token.text);
    }
  }
}

// Pads or checks the vocabulary against the model's.
Status fit_vocabulary(int64_t vocab_size, bool may_cut, TokenizerSpec* spec) {
  const size_t n = spec->tokens.size();
  const auto wanted = static_cast<size_t>(vocab_size);
  if (wanted > 2 * n + (size_t{1} << 20)) {
    return corrupt("vocab_size is {}, but the tokenizer has {} tokens", vocab_size, n);
  }
  if (wanted < n && !may_cut) {
    return corrupt("the tokenizer has {} tokens, more than the model's vocab_size of {}", n,
                   vocab_size);
  }
  spec->tokens.resize(std::min(n, wanted));
  for (size_t i = n; i < wanted; ++i) spec->tokens.push_back(fmt::format("[PAD{}]", i));
  spec->types.resize(wanted, TokenType::kUnused);
  if (!spec->scores.empty()) spec->scores.resize(wanted, -10000.0f);
  return {};
}

// Ids that the files give by number, for tokens that none of them gives by text.
void take_ids_from_config(const json& config, TokenizerSpec* spec) {
  SpecialIds& s = spec->special;
  const std::pair<const char*, int32_t*> names[] = {
      {"bos_token_id", &s.bos},  {"eos_token_id", &s.eos}, {"unk_token_id", &s.unk},
      {"pad_token_id", &s.pad},  {"sep_token_id", &s.sep}, {"cls_token_id", &s.cls},
      {"mask_token_id", &s.mask}};
  for (const auto& [key, id] : names) {
    if (*id < 0) *id = int_or(config, key, -1);
  }
}

void write_special(const TokenizerSpec& spec, gguf::Metadata* out) {
  const SpecialIds& s = spec.special;
  const std::pair<const char*, int32_t> ids[] = {
      {"bos_token_id", s.bos},     {"eos_token_id", s.eos},     {"eot_token_id", s.eot},
      {"eom_token_id", s.eom},     {"unknown_token_id", s.unk}, {"seperator_token_id", s.sep},
      {"padding_token_id", s.pad}, {"cls_token_id", s.cls},     {"mask_token_id", s.mask}};
  for (const auto& [key, id] : ids) {
    if (id >= 0 && static_cast<size_t>(id) < spec.tokens.size()) {
      out->set(fmt::format("tokenizer.ggml.{}", key), static_cast<uint32_t>(id));
    }
  }
  out->set("tokenizer.ggml.add_bos_token", !spec.prefix.empty());
  out->set("tokenizer.ggml.add_eos_token", !spec.suffix.empty());
}

void write_tokens(const TokenizerSpec& spec, const char* model, const std::string& pre,
                  gguf::Metadata* out) {
  out->set("tokenizer.ggml.model", model);
  out->set("tokenizer.ggml.pre", std::string_view(pre));
  out->set("tokenizer.ggml.tokens", gguf::Array::of(spec.tokens));
  if (!spec.scores.empty()) out->set("tokenizer.ggml.scores", gguf::Array::of(spec.scores));
  std::vector<int32_t> types;
  for (TokenType type : spec.types) types.push_back(static_cast<int32_t>(type));
  out->set("tokenizer.ggml.token_type", gguf::Array::of(types));
}

// A part of a merge must not hold the space that separates the two.
std::string merge_part(std::string text) {
  static constexpr std::string_view kSpaceInAlphabet = "\xc4\xa0";  // U+0120
  for (size_t at = 0; (at = text.find(' ', at)) != std::string::npos;) {
    text.replace(at, 1, kSpaceInAlphabet);
  }
  return text;
}

Status write_byte_level(const TokenizerSpec& spec, const std::string& wanted_pre,
                        gguf::Metadata* out) {
  for (const NormalizerStep& step : spec.normalizer.steps()) {
    // The one normalization that readers of GGUF are known to do without.
    const auto* form = std::get_if<UnicodeForm>(&step);
    if (form == nullptr || !form->compose || form->compatibility) {
      return unsupported("a byte-level tokenizer with a normalizer other than NFC");
    }
  }
  std::string pre = wanted_pre;
  if (pre.empty()) {
    PARE_ASSIGN_OR_RETURN(pre, detect_pre_kind(spec));
  } else if (find_pre_kind(pre) == nullptr) {
    return invalid_argument("'{}' is not a kind of pre-tokenizer that this build knows", pre);
  }
  write_tokens(spec, "gpt2", pre, out);
  gguf::StringArrayBuilder merges;
  merges.reserve(spec.merges.size());
  for (const auto& [left, right] : spec.merges) {
    merges.add(merge_part(left) + " " + merge_part(right));
  }
  out->set("tokenizer.ggml.merges", std::move(merges).build());
  return {};
}

// SentencePiece's scores from merge ranks: the earlier a token's merge, the better its score.
void derive_scores(TokenizerSpec* spec) {
  const auto worst = -static_cast<float>(spec->merges.size()) - 1.0f;
  spec->scores.assign(spec->tokens.size(), worst);
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t i = 0; i < spec->tokens.size(); ++i) ids.try_emplace(spec->tokens[i], i);
  for (size_t rank = spec->merges.size(); rank-- > 0;) {
    const auto& [left, right] = spec->merges[rank];
    const auto it = ids.find(left + right);
    if (it != ids.end()) spec->scores[it->second] = -static_cast<float>(rank);
  }
}

// Whether a SentencePiece-style tokenizer.json puts a space in front of texts; an error if it does
// anything that GGUF's "llama" tokenizer does not do.
Result<bool> adds_space(const TokenizerSpec& spec) {
  bool prepends = false;
  bool replaces = false;
  for (const NormalizerStep& step : spec.normalizer.steps()) {
    if (std::holds_alternative<PrependText>(step)) {
      prepends = true;
    } else if (const auto* replace = std::get_if<ReplaceText>(&step);
               replace != nullptr && replace->regex.pattern() == " ") {
      replaces = true;
    } else {
      return unsupported("a SentencePiece-style tokenizer with another normalizer");
    }
  }
  for (const PreTokenizerStep& step : spec.pre_tokenizer.steps()) {
    if (const auto* metaspace = std::get_if<MetaspaceStep>(&step)) {
      replaces = true;
      prepends = prepends || metaspace->prepend != MetaspaceStep::Prepend::kNever;
    } else if (const auto* split = std::get_if<SplitStep>(&step);
               split == nullptr || split->regex.pattern() != " ") {
      return unsupported("a SentencePiece-style tokenizer with another pre-tokenizer");
    }
  }
  if (!replaces || !spec.byte_fallback) {
    return unsupported("a BPE tokenizer that is neither byte-level nor SentencePiece-style");
  }
  return prepends;
}

void write_chat_templates(const HfDirectory& directory, gguf::Metadata* out) {
  std::vector<std::string> names;
  for (const HfDirectory::ChatTemplate& chat : directory.chat_templates()) {
    if (chat.name == "default") {
      out->set("tokenizer.chat_template", std::string_view(chat.text));
    } else {
      out->set(fmt::format("tokenizer.chat_template.{}", chat.name), std::string_view(chat.text));
      names.push_back(chat.name);
    }
  }
  if (!names.empty()) out->set("tokenizer.chat_templates", gguf::Array::of(names));
}

}  // namespace

Result<gguf::Metadata> tokenizer_to_gguf(const HfDirectory& directory,
                                         const TokenizerToGgufOptions& options) {
  PARE_ASSIGN_OR_RETURN(TokenizerSpec spec, tokenizer_spec_from_hf(directory));
  const bool byte_level = spec.byte_level && spec.algorithm == TokenizerSpec::Algorithm::kRankedBpe;
  if (spec.algorithm == TokenizerSpec::Algorithm::kWordPiece) {
    return unsupported("{}: a WordPiece tokenizer cannot be written to GGUF", directory.path());
  }
  // SentencePiece's own file has the scores that tokenizer.json lacks.
  if (!byte_level && directory.has("tokenizer.json") && directory.has("tokenizer.model")) {
    PARE_ASSIGN_OR_RETURN(TokenizerSpec pieces, spec_from_sentencepiece(directory));
    pieces.special = spec.special;
    pieces.prefix = spec.prefix;
    pieces.suffix = spec.suffix;
    pieces.end_of_generation = spec.end_of_generation;
    spec = std::move(pieces);
  }
  bool space = spec.strip_first_space;
  if (!byte_level && spec.algorithm == TokenizerSpec::Algorithm::kRankedBpe) {
    PARE_ASSIGN_OR_RETURN(space, adds_space(spec));
    derive_scores(&spec);
  }
  settle_added_tokens(&spec);
  find_end_tokens(&spec);
  take_ids_from_config(directory.config(), &spec);
  if (!spec.prefix.empty()) spec.special.bos = spec.prefix.front();
  if (!spec.suffix.empty()) spec.special.eos = spec.suffix.back();

  int64_t vocab_size = options.vocab_size;
  if (vocab_size <= 0) vocab_size = int_or(directory.config(), "vocab_size", 0);
  if (vocab_size <= 0) vocab_size = static_cast<int64_t>(spec.tokens.size());
  PARE_RETURN_IF_ERROR(fit_vocabulary(vocab_size, !byte_level, &spec));

  gguf::Metadata out;
  if (byte_level) {
    PARE_RETURN_IF_ERROR(write_byte_level(spec, options.pre, &out));
  } else {
    write_tokens(spec, "llama", "default", &out);
    out.set("tokenizer.ggml.add_space_prefix", space);
  }
  write_special(spec, &out);
  write_chat_templates(directory, &out);
  return out;
}

}  // namespace pare

#include "model/tokenizer/hf_spec.h"

#include <algorithm>

#include "model/tokenizer/hf_components.h"
#include "model/tokenizer/json_access.h"
#include "model/tokenizer/special_tokens.h"

namespace pare {
namespace {

using nlohmann::json;

Status read_vocabulary(const json& model, const json& added, TokenizerSpec* spec) {
  const json* vocab = member(model, "vocab");
  if (vocab == nullptr || !vocab->is_object()) {
    return corrupt("tokenizer.json: model.vocab is not an object");
  }
  const size_t entries = vocab->size() + added.size();
  for (const auto& [text, id] : vocab->items()) {
    if (!id.is_number_integer()) return corrupt("tokenizer.json: id of '{}' is no integer", text);
    PARE_RETURN_IF_ERROR(put_token(id.get<int64_t>(), text, TokenType::kNormal, entries, spec));
  }
  for (const json& item : added) {
    AddedToken token;
    token.id = int_or(item, "id", -1);
    token.text = string_or(item, "content", "");
    token.special = bool_or(item, "special", false);
    token.lstrip = bool_or(item, "lstrip", false);
    token.rstrip = bool_or(item, "rstrip", false);
    token.single_word = bool_or(item, "single_word", false);
    token.normalized = bool_or(item, "normalized", true);
    PARE_RETURN_IF_ERROR(put_token(token.id, token.text,
                                   token.special ? TokenType::kControl : TokenType::kUserDefined,
                                   entries, spec));
    spec->added.push_back(std::move(token));
  }
  return {};
}

Status read_merges(const json& model, TokenizerSpec* spec) {
  const json* merges = member(model, "merges");
  if (merges == nullptr || !merges->is_array()) {
    return corrupt("tokenizer.json: model.merges is not an array");
  }
  spec->merges.reserve(merges->size());
  for (const json& item : *merges) {
    if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      spec->merges.emplace_back(item[0].get<std::string>(), item[1].get<std::string>());
      continue;
    }
    if (item.is_string()) {
      const auto& text = item.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        spec->merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    }
    return corrupt("tokenizer.json: merge {} is not two parts", spec->merges.size());
  }
  return {};
}

int32_t id_of(const TokenizerSpec& spec, const std::string& text) {
  if (text.empty()) return -1;
  const auto it = std::find(spec.tokens.begin(), spec.tokens.end(), text);
  return it == spec.tokens.end() ? -1 : static_cast<int32_t>(it - spec.tokens.begin());
}

Status read_model(const json& tokenizer, TokenizerSpec* spec) {
  const json* model = member(tokenizer, "model");
  if (model == nullptr) return corrupt("tokenizer.json: no model");
  // Files of before tokenizers 0.11 do not name the type; they are BPE if they have merges.
  const std::string type =
      string_or(*model, "type", member(*model, "merges") != nullptr ? "BPE" : "WordPiece");
  if (type != "BPE" && type != "WordPiece") {
    return unsupported("tokenizer.json: model type \"{}\"; this build knows BPE and WordPiece",
                       type);
  }
  const json* added = member(tokenizer, "added_tokens");
  const json none = json::array();
  if (added == nullptr || !added->is_array()) added = &none;
  PARE_RETURN_IF_ERROR(read_vocabulary(*model, *added, spec));
  spec->special.unk = id_of(*spec, string_or(*model, "unk_token", ""));
  if (type == "WordPiece") {
    spec->algorithm = TokenizerSpec::Algorithm::kWordPiece;
    spec->continuation_prefix = string_or(*model, "continuing_subword_prefix", "##");
    spec->max_word_code_points =
        static_cast<size_t>(std::max(0, int_or(*model, "max_input_chars_per_word", 100)));
    return {};
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!string_or(*model, key, "").empty()) {
      return unsupported("tokenizer.json: a BPE model with \"{}\"", key);
    }
  }
  spec->ignore_merges = bool_or(*model, "ignore_merges", false);
  spec->byte_fallback = bool_or(*model, "byte_fallback", false);
  spec->fuse_unknown = bool_or(*model, "fuse_unk", false);
  return read_merges(*model, spec);
}

const json& value_or_null(const json& object, const char* key) {
  static const json null;
  const json* value = member(object, key);
  return value == nullptr ? null : *value;
}

// BOS, EOS and the others by their texts.
void read_special_ids(const json& config, TokenizerSpec* spec) {
  SpecialIds& s = spec->special;
  const std::pair<const char*, int32_t*> names[] = {
      {"bos_token", &s.bos}, {"eos_token", &s.eos}, {"unk_token", &s.unk},  {"pad_token", &s.pad},
      {"sep_token", &s.sep}, {"cls_token", &s.cls}, {"mask_token", &s.mask}};
  for (const auto& [key, id] : names) {
    if (*id < 0) *id = id_of(*spec, token_text_or(config, key, ""));
  }
}

}  // namespace

Status put_token(int64_t id, const std::string& text, TokenType type, size_t entries,
                 TokenizerSpec* spec) {
  if (id < 0 || static_cast<uint64_t>(id) >= 2 * static_cast<uint64_t>(entries) + 100'000) {
    return corrupt("token '{}' has id {} in a vocabulary of {} entries", text, id, entries);
  }
  const auto index = static_cast<size_t>(id);
  while (spec->tokens.size() <= index) {
    spec->tokens.push_back(fmt::format("[PAD{}]", spec->tokens.size()));
    spec->types.push_back(TokenType::kUnused);
  }
  spec->tokens[index] = text;
  spec->types[index] = type;
  return {};
}

void set_prefix_by_class(const json& config, TokenizerSpec* spec) {
  const std::string type = string_or(config, "tokenizer_class", "");
  const bool llama_like =
      type.starts_with("Llama") || type.starts_with("CodeLlama") || type.starts_with("Gemma");
  if (bool_or(config, "add_bos_token", llama_like) && spec->special.bos >= 0) {
    spec->prefix = {spec->special.bos};
  }
  if (bool_or(config, "add_eos_token", false) && spec->special.eos >= 0) {
    spec->suffix = {spec->special.eos};
  }
}

Result<TokenizerSpec> spec_from_tokenizer_json(const json& tokenizer,
                                               const json& tokenizer_config) {
  TokenizerSpec spec;
  PARE_RETURN_IF_ERROR(read_model(tokenizer, &spec));
  PARE_ASSIGN_OR_RETURN(spec.normalizer, parse_normalizer(value_or_null(tokenizer, "normalizer")));
  PARE_ASSIGN_OR_RETURN(spec.pre_tokenizer,
                        parse_pre_tokenizer(value_or_null(tokenizer, "pre_tokenizer")));
  spec.byte_level = spec.pre_tokenizer.byte_level();
  spec.strip_first_space = decoder_strips_space(value_or_null(tokenizer, "decoder"));
  for (size_t i = 0; i < spec.tokens.size() && spec.byte_fallback; ++i) {
    const std::string& text = spec.tokens[i];
    if (text.size() == 6 && text.starts_with("<0x")) spec.types[i] = TokenType::kByte;
  }
  read_special_ids(tokenizer_config, &spec);

  PARE_ASSIGN_OR_RETURN(const SequenceTemplate around,
                        parse_post_processor(value_or_null(tokenizer, "post_processor")));
  const auto add_ids = [&](const std::vector<std::string>& texts, std::vector<int32_t>* ids) {
    for (const std::string& text : texts) {
      const int32_t id = id_of(spec, text);
      if (id < 0) return corrupt("tokenizer.json: post-processor token '{}' is not there", text);
      ids->push_back(id);
    }
    return Status();
  };
  PARE_RETURN_IF_ERROR(add_ids(around.prefix, &spec.prefix));
  PARE_RETURN_IF_ERROR(add_ids(around.suffix, &spec.suffix));
  if (!around.found) set_prefix_by_class(tokenizer_config, &spec);
  return spec;
}

Result<TokenizerSpec> tokenizer_spec_from_hf(const HfDirectory& directory) {
  TokenizerSpec spec;
  if (directory.has("tokenizer.json")) {
    PARE_ASSIGN_OR_RETURN(const json tokenizer, directory.read_json_file("tokenizer.json"));
    PARE_ASSIGN_OR_RETURN(spec, spec_from_tokenizer_json(tokenizer, directory.tokenizer_config()));
  } else if (directory.has("tokenizer.model")) {
    PARE_ASSIGN_OR_RETURN(spec, spec_from_sentencepiece(directory));
  } else {
    return not_found("{}: neither tokenizer.json nor tokenizer.model is there", directory.path());
  }
  read_special_ids(directory.special_tokens_map(), &spec);
  // What generation stops at is also what the model's authors say it stops at.
  for (const json* config : {&directory.generation_config(), &directory.config()}) {
    const json* eos = member(*config, "eos_token_id");
    if (eos == nullptr) continue;
    for (const json& id : eos->is_array() ? *eos : json::array({*eos})) {
      if (!id.is_number_integer()) continue;
      const int64_t value = id.get<int64_t>();
      if (value >= 0 && static_cast<uint64_t>(value) < spec.tokens.size()) {
        spec.end_of_generation.push_back(static_cast<int32_t>(value));
      }
    }
  }
  find_end_tokens(&spec);
  if (const std::string* text = directory.default_chat_template()) spec.chat_template = *text;
  return spec;
}

}  // namespace pare

#include "model/tokenizer/hf_components.h"

#include "model/tokenizer/json_access.h"

namespace pare {
namespace {

using nlohmann::json;

std::string type_of(const json& node) { return string_or(node, "type", "(none)"); }

// Steps of a Sequence are flattened; more nesting than this is not a real file.
constexpr int kMaxNesting = 8;

// "pattern": {"String": ...} or {"Regex": ...}.
Result<Regex> parse_pattern(const json& node) {
  const json* pattern = member(node, "pattern");
  if (pattern != nullptr && pattern->is_string()) {
    return Regex::literal(pattern->get_ref<const std::string&>());
  }
  if (pattern != nullptr && member(*pattern, "String") != nullptr) {
    return Regex::literal(string_or(*pattern, "String", ""));
  }
  if (pattern != nullptr && member(*pattern, "Regex") != nullptr) {
    return Regex::compile(string_or(*pattern, "Regex", ""));
  }
  return corrupt("a {} without a pattern", type_of(node));
}

Result<UnicodeForm> parse_form(std::string_view name) {
  return UnicodeForm{.compose = name.ends_with('C'), .compatibility = name.starts_with("NFK")};
}

// Members of a Sequence, which are called differently in each kind.
Result<const json*> members_of(const json& node, const char* key) {
  const json* list = member(node, key);
  if (list == nullptr || !list->is_array()) return corrupt("a Sequence without \"{}\"", key);
  return list;
}

Status add_normalizer(const json& node, int depth, std::vector<NormalizerStep>* steps) {
  const std::string type = type_of(node);
  if (depth > kMaxNesting) return corrupt("normalizers nested deeper than {}", kMaxNesting);
  if (type == "Sequence") {
    PARE_ASSIGN_OR_RETURN(const json* list, members_of(node, "normalizers"));
    for (const json& item : *list) PARE_RETURN_IF_ERROR(add_normalizer(item, depth + 1, steps));
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    PARE_ASSIGN_OR_RETURN(UnicodeForm form, parse_form(type));
    steps->emplace_back(form);
  } else if (type == "Prepend") {
    steps->emplace_back(PrependText{string_or(node, "prepend", "")});
  } else if (type == "Replace") {
    PARE_ASSIGN_OR_RETURN(Regex regex, parse_pattern(node));
    steps->emplace_back(ReplaceText{std::move(regex), string_or(node, "content", "")});
  } else if (type == "Strip") {
    steps->emplace_back(
        StripSpace{bool_or(node, "strip_left", true), bool_or(node, "strip_right", true)});
  } else if (type == "Lowercase") {
    steps->emplace_back(Lowercase{});
  } else if (type == "StripAccents") {
    steps->emplace_back(StripAccents{});
  } else if (type == "BertNormalizer") {
    BertClean clean;
    clean.clean_text = bool_or(node, "clean_text", true);
    clean.handle_chinese = bool_or(node, "handle_chinese_chars", true);
    clean.lowercase = bool_or(node, "lowercase", true);
    clean.strip_accents = bool_or(node, "strip_accents", clean.lowercase);
    steps->emplace_back(clean);
  } else {
    return unsupported("normalizer \"{}\" is not one that this build knows", type);
  }
  return {};
}

Result<SplitBehavior> parse_behavior(const json& node, const char* fallback) {
  const std::string name = string_or(node, "behavior", fallback);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return unsupported("split behavior \"{}\" is not one that this build knows", name);
}

Status add_split(const char* pattern, SplitBehavior behavior,
                 std::vector<PreTokenizerStep>* steps) {
  PARE_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
  steps->emplace_back(SplitStep{std::move(regex), behavior});
  return {};
}

constexpr char kPunctuation[] = R"([\p{P}!-/:-@\[-`{-~])";

MetaspaceStep parse_metaspace(const json& node) {
  using Prepend = MetaspaceStep::Prepend;
  MetaspaceStep step;
  step.replacement = string_or(node, "replacement", step.replacement);
  step.split = bool_or(node, "split", true);
  // Older files say add_prefix_space instead.
  const std::string scheme = string_or(
      node, "prepend_scheme", bool_or(node, "add_prefix_space", true) ? "always" : "never");
  step.prepend = scheme == "always" ? Prepend::kAlways
                                    : (scheme == "first" ? Prepend::kFirst : Prepend::kNever);
  return step;
}

Status add_pre_tokenizer(const json& node, int depth, std::vector<PreTokenizerStep>* steps) {
  const std::string type = type_of(node);
  if (depth > kMaxNesting) return corrupt("pre-tokenizers nested deeper than {}", kMaxNesting);
  if (type == "Sequence") {
    PARE_ASSIGN_OR_RETURN(const json* list, members_of(node, "pretokenizers"));
    for (const json& item : *list) PARE_RETURN_IF_ERROR(add_pre_tokenizer(item, depth + 1, steps));
  } else if (type == "Split") {
    PARE_ASSIGN_OR_RETURN(Regex regex, parse_pattern(node));
    PARE_ASSIGN_OR_RETURN(const SplitBehavior behavior, parse_behavior(node, "Isolated"));
    steps->emplace_back(SplitStep{std::move(regex), behavior, bool_or(node, "invert", false)});
  } else if (type == "ByteLevel") {
    ByteLevelStep step;
    step.add_prefix_space = bool_or(node, "add_prefix_space", true);
    step.use_regex = bool_or(node, "use_regex", true);
    steps->emplace_back(step);
  } else if (type == "Metaspace") {
    steps->emplace_back(parse_metaspace(node));
  } else if (type == "Digits") {
    const bool individual = bool_or(node, "individual_digits", false);
    return add_split(R"(\p{N})", individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                     steps);
  } else if (type == "Punctuation") {
    PARE_ASSIGN_OR_RETURN(const SplitBehavior behavior, parse_behavior(node, "Isolated"));
    return add_split(kPunctuation, behavior, steps);
  } else if (type == "Whitespace") {
    PARE_ASSIGN_OR_RETURN(Regex regex, Regex::compile(R"(\w+|[^\w\s]+)"));
    steps->emplace_back(SplitStep{std::move(regex), SplitBehavior::kRemoved, true});
  } else if (type == "WhitespaceSplit") {
    return add_split(R"(\s)", SplitBehavior::kRemoved, steps);
  } else if (type == "BertPreTokenizer") {
    PARE_RETURN_IF_ERROR(add_split(R"(\s)", SplitBehavior::kRemoved, steps));
    return add_split(kPunctuation, SplitBehavior::kIsolated, steps);
  } else {
    return unsupported("pre-tokenizer \"{}\" is not one that this build knows", type);
  }
  return {};
}

// {"SpecialToken": {"id": "<s>"}} around {"Sequence": {"id": "A"}}.
Status parse_template(const json& node, SequenceTemplate* out) {
  const json* single = member(node, "single");
  if (single == nullptr || !single->is_array()) return corrupt("a template without \"single\"");
  out->found = true;
  bool after = false;
  for (const json& item : *single) {
    if (member(item, "Sequence") != nullptr) {
      after = true;
    } else if (const json* special = member(item, "SpecialToken")) {
      (after ? out->suffix : out->prefix).push_back(string_or(*special, "id", ""));
    }
  }
  return {};
}

Status add_post_processor(const json& node, int depth, SequenceTemplate* out) {
  const std::string type = type_of(node);
  if (depth > kMaxNesting) return corrupt("post-processors nested deeper than {}", kMaxNesting);
  if (type == "Sequence") {
    PARE_ASSIGN_OR_RETURN(const json* list, members_of(node, "processors"));
    for (const json& item : *list) PARE_RETURN_IF_ERROR(add_post_processor(item, depth + 1, out));
  } else if (type == "TemplateProcessing") {
    return parse_template(node, out);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const auto text = [&](const char* key) -> std::string {
      const json* pair = member(node, key);  // ["</s>", 2]
      const bool good = pair != nullptr && pair->is_array() && !pair->empty();
      return good && pair->front().is_string() ? pair->front().get<std::string>() : "";
    };
    out->found = true;
    out->prefix = {text("cls")};
    out->suffix = {text("sep")};
  } else if (type != "ByteLevel") {
    return unsupported("post-processor \"{}\" is not one that this build knows", type);
  }
  return {};
}

}  // namespace

Result<Normalizer> parse_normalizer(const json& node) {
  std::vector<NormalizerStep> steps;
  if (!node.is_null()) PARE_RETURN_IF_ERROR(add_normalizer(node, 0, &steps));
  return Normalizer(std::move(steps));
}

Result<PreTokenizer> parse_pre_tokenizer(const json& node) {
  std::vector<PreTokenizerStep> steps;
  if (!node.is_null()) PARE_RETURN_IF_ERROR(add_pre_tokenizer(node, 0, &steps));
  // What follows a byte level works on its alphabet, where only cutting makes sense.
  bool byte_level = false;
  for (const PreTokenizerStep& step : steps) {
    if (byte_level && !std::holds_alternative<SplitStep>(step)) {
      return unsupported("a pre-tokenizer that changes text after \"ByteLevel\"");
    }
    byte_level = byte_level || std::holds_alternative<ByteLevelStep>(step);
  }
  return PreTokenizer(std::move(steps));
}

Result<SequenceTemplate> parse_post_processor(const json& node) {
  SequenceTemplate out;
  if (!node.is_null()) PARE_RETURN_IF_ERROR(add_post_processor(node, 0, &out));
  return out;
}

bool decoder_strips_space(const json& node) {
  const std::string type = type_of(node);
  if (type == "Metaspace") {
    return string_or(node, "prepend_scheme", "always") != "never" &&
           bool_or(node, "add_prefix_space", true);
  }
  if (type == "Strip") {
    return string_or(node, "content", "") == " " && int_or(node, "start", 0) > 0;
  }
  const json* list = member(node, "decoders");
  if (list == nullptr || !list->is_array()) return false;
  for (const json& item : *list) {
    if (type_of(item) != "Sequence" && decoder_strips_space(item)) return true;
  }
  return false;
}

}  // namespace pare

#include <algorithm>

#include "model/tokenizer/hf_to_gguf.h"
#include "model/tokenizer/pre_kinds.h"
#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// One spelling for patterns that mean the same: escapes of characters are resolved.
std::string canonical(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char kind = pattern[++i];
    const size_t close = pattern.find('}', i);
    if (kind == 'r') {
      out += '\r';
    } else if (kind == 'n') {
      out += '\n';
    } else if (kind == 't') {
      out += '\t';
    } else if (kind == 'x' && pattern.substr(i, 2) == "x{" && close != std::string_view::npos) {
      const std::string digits(pattern.substr(i + 2, close - i - 2));
      append_utf8(static_cast<char32_t>(std::strtoul(digits.c_str(), nullptr, 16)), &out);
      i = close;
    } else {
      out += {'\\', kind};
    }
  }
  return out;
}

// A step as text: two pre-tokenizers are the same if their steps are. `covers`: everything matches
// the pattern, so that dropping what is between the matches drops nothing.
std::string describe(const SplitStep& step) {
  const std::string pattern = canonical(step.regex.pattern());
  const bool covers = pattern.ends_with("|\\s+") || pattern.ends_with("|\\s");
  const bool isolated = step.behavior == SplitBehavior::kIsolated ||
                        (step.behavior == SplitBehavior::kRemoved && step.invert && covers);
  if (isolated) return pattern;
  return fmt::format("{} (behavior {}, invert {})", pattern, static_cast<int>(step.behavior),
                     step.invert);
}

Result<std::vector<std::string>> describe(const PreTokenizer& pre_tokenizer) {
  std::vector<std::string> steps;
  for (const PreTokenizerStep& step : pre_tokenizer.steps()) {
    if (const auto* split = std::get_if<SplitStep>(&step)) {
      steps.push_back(describe(*split));
    } else if (const auto* bytes = std::get_if<ByteLevelStep>(&step)) {
      if (bytes->add_prefix_space) {
        return unsupported("a byte-level pre-tokenizer that puts a space in front of the text");
      }
      if (bytes->use_regex) steps.push_back(canonical(find_pre_kind("gpt-2")->regexes[0]));
    } else {
      return unsupported("a Metaspace pre-tokenizer together with a byte level");
    }
  }
  return steps;
}

std::vector<std::string> describe(const PreKind& kind) {
  std::vector<std::string> steps;
  for (const char* pattern : kind.regexes) steps.push_back(canonical(pattern));
  return steps;
}

// Falcon's steps, which the kind of that name approximates.
std::vector<std::string> falcon_steps() {
  const std::string contiguous =
      fmt::format(" (behavior {}, invert false)", static_cast<int>(SplitBehavior::kContiguous));
  return {R"([\p{P}!-/:-@\[-`{-~])" + contiguous, canonical(find_pre_kind("gpt-2")->regexes[0]),
          R"(\p{N})" + contiguous, "[0-9][0-9][0-9]"};
}

}  // namespace

Result<std::string> detect_pre_kind(const TokenizerSpec& spec) {
  PARE_ASSIGN_OR_RETURN(const std::vector<std::string> steps, describe(spec.pre_tokenizer));
  for (const PreKind& kind : pre_kinds()) {
    if (kind.ignore_merges == spec.ignore_merges && describe(kind) == steps) {
      return std::string(kind.name);
    }
  }
  if (steps == falcon_steps()) return std::string("falcon");
  return unsupported(
      "no kind of tokenizer.ggml.pre cuts text as this tokenizer does (ignore_merges {}, steps: "
      "{}); name one to use it all the same",
      spec.ignore_merges, fmt::join(steps, "  "));
}

}  // namespace pare

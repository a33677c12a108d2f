// Regular expressions of pre-tokenizers, on PCRE2 (JIT, UTF-8, Unicode properties).
//
// Patterns come from model files and are written for Oniguruma (the engine of Hugging Face's
// tokenizers): \s, \w and their complements are rewritten to its Unicode definitions, ^ and $ are
// line anchors, and constructs that PCRE2 would silently read differently (set intersection,
// nested classes) are refused. Match effort is limited, so that a hostile pattern ends in an error.
// A compiled Regex is immutable: any number of threads may use it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pare {

struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};

class Regex {
 public:
  static Result<Regex> compile(std::string_view pattern);
  // A pattern that matches exactly this text.
  static Result<Regex> literal(std::string_view text);

  // All matches from left to right that do not overlap, empty ones included. `text` must be valid
  // UTF-8 (repair_utf8). Errors: the limit on match effort was reached.
  Status find_all(std::string_view text, std::vector<TextRange>* matches) const;

  // As it was given, before any rewriting.
  const std::string& pattern() const { return pattern_; }

 private:
  Regex(std::string pattern, std::shared_ptr<void> code)
      : pattern_(std::move(pattern)), code_(std::move(code)) {}
  std::string pattern_;
  std::shared_ptr<void> code_;  // pcre2_code; kept opaque so that pcre2.h stays in the .cpp
};

}  // namespace pare

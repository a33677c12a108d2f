// Rewrites text before it is cut into pieces: the normalizers of Hugging Face's tokenizer.json that
// BPE and WordPiece tokenizers use. Immutable: any number of threads may use it.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/unicode_form.h"

namespace pare {

struct PrependText {
  std::string text;  // in front of text that is not empty
};
struct ReplaceText {
  Regex regex;
  std::string replacement;
};
struct StripSpace {
  bool left = true, right = true;
};
struct Lowercase {};
struct StripAccents {};  // removes non-spacing marks
// BERT's: control characters dropped, whitespace made plain, CJK set apart by spaces.
struct BertClean {
  bool clean_text = true, handle_chinese = true, strip_accents = true, lowercase = true;
};

using NormalizerStep = std::variant<UnicodeForm, PrependText, ReplaceText, StripSpace, Lowercase,
                                    StripAccents, BertClean>;

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  const std::vector<NormalizerStep>& steps() const { return steps_; }
  // `text` must be valid UTF-8; so is the result.
  Result<std::string> apply(std::string_view text) const;

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace pare

// Cuts text into the pieces that a tokenizer's model then encodes one by one.
//
// A pre-tokenizer is a sequence of steps, as in Hugging Face's tokenizer.json; the kinds that GGUF
// names are sequences too (pre_kinds.h). Immutable: any number of threads may use it.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/regex.h"

namespace pare {

// What becomes of the matches of a Split and of the text between them.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Regex regex;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // the text between the matches is what counts as matched
};

// GPT-2's byte level. The pieces stay raw bytes here; the vocabulary is kept in raw bytes too.
struct ByteLevelStep {
  bool add_prefix_space = false;
  bool use_regex = false;  // cuts with GPT-2's regex first
};

// SentencePiece's way: spaces become `replacement`, words begin with it.
struct MetaspaceStep {
  enum class Prepend { kNever, kFirst, kAlways } prepend = Prepend::kAlways;
  std::string replacement = "\xe2\x96\x81";
  bool split = true;
};

using PreTokenizerStep = std::variant<SplitStep, ByteLevelStep, MetaspaceStep>;

// The pieces, and the strings that they point into where a step had to change the text.
struct Pieces {
  std::vector<std::string_view> parts;
  std::deque<std::string> storage;
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps);

  // Pieces of `text` in order; none of them is empty. `text` must outlive them and be valid UTF-8.
  // at_start: text is the beginning of the whole input (Metaspace asks).
  Status split(std::string_view text, bool at_start, Pieces* pieces) const;

  const std::vector<PreTokenizerStep>& steps() const { return steps_; }
  bool byte_level() const;  // one of the steps is a ByteLevelStep

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace pare

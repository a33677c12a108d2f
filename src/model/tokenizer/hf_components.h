// The parts of Hugging Face's tokenizer.json: "normalizer", "pre_tokenizer", "post_processor".
// Errors: kUnsupported names the component that this build does not know.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/status.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/pre_tokenizer.h"

namespace pare {

// null gives an empty one.
Result<Normalizer> parse_normalizer(const nlohmann::json& node);
Result<PreTokenizer> parse_pre_tokenizer(const nlohmann::json& node);

// The texts of the special tokens that are put before and after a single sequence.
struct SequenceTemplate {
  bool found = false;  // the file says something about it
  std::vector<std::string> prefix, suffix;
};
Result<SequenceTemplate> parse_post_processor(const nlohmann::json& node);

// Whether decoding drops a space from the beginning.
bool decoder_strips_space(const nlohmann::json& node);

}  // namespace pare

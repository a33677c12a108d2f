// Reads the tokenizer of a Hugging Face directory: tokenizer.json, or tokenizer.model
// (SentencePiece) where that is absent, with tokenizer_config.json, special_tokens_map.json,
// generation_config.json and chat_template.jinja for what they add.
#pragma once

#include <string>

#include "base/status.h"
#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

Result<TokenizerSpec> tokenizer_spec_from_hf(const std::string& directory);

}  // namespace pare

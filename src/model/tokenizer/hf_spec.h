// Reads the tokenizer of a Hugging Face directory: tokenizer.json, or tokenizer.model
// (SentencePiece) where that is absent, with tokenizer_config.json, special_tokens_map.json,
// generation_config.json and chat templates for what they add.
#pragma once

#include "base/status.h"
#include "formats/hf_directory.h"
#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

Result<TokenizerSpec> tokenizer_spec_from_hf(const HfDirectory& directory);

// One of the two files alone.
Result<TokenizerSpec> spec_from_tokenizer_json(const nlohmann::json& tokenizer,
                                               const nlohmann::json& tokenizer_config);
Result<TokenizerSpec> spec_from_sentencepiece(const HfDirectory& directory);

// Sets token `id`; ids in between become unused tokens "[PAD7]". entries: how many tokens the file
// has, which bounds the ids that are believed.
Status put_token(int64_t id, const std::string& text, TokenType type, size_t entries,
                 TokenizerSpec* spec);

// Whether BOS and EOS are added, where the files do not say: as the classes of transformers do it.
void set_prefix_by_class(const nlohmann::json& tokenizer_config, TokenizerSpec* spec);

}  // namespace pare

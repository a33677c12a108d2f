// A GGUF model's tokenizer as the files of a Hugging Face directory.
//
// `tokenizers` and `transformers` load them and give the ids that this library gives for the GGUF
// file. GGUF does not record Unicode normalization (Qwen's NFC) nor which added tokens take the
// whitespace around them; what it does not record is not restored.
#pragma once

#include <string>

#include "base/status.h"
#include "formats/gguf/metadata.h"

namespace pare {

struct HfTokenizerFiles {
  std::string tokenizer;         // tokenizer.json
  std::string tokenizer_config;  // tokenizer_config.json, with the chat template
};

// Errors: those of Tokenizer::from_gguf; kUnsupported for WordPiece; kCorrupt for tokens that are
// not UTF-8, which JSON cannot hold.
Result<HfTokenizerFiles> tokenizer_to_hf(const gguf::Metadata& metadata);

}  // namespace pare

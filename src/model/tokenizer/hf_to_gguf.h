// A Hugging Face tokenizer as GGUF metadata: the keys tokenizer.ggml.* and tokenizer.chat_template,
// so that llama.cpp gives the same ids.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "formats/hf_directory.h"
#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

struct TokenizerToGgufOptions {
  // tokenizer.ggml.pre; empty: found by comparing the pre-tokenizer's structure and regexes with
  // the known kinds (pre_kinds.h).
  std::string pre;
  // Rows of the embedding. Ids up to it that have no token become unused "[PAD<id>]"; 0: take
  // config.json's vocab_size, or the tokenizer's own.
  int64_t vocab_size = 0;
};

// Errors: kUnsupported for what GGUF cannot express, naming it; an unknown pre-tokenizer names the
// option that overrides the detection.
Result<gguf::Metadata> tokenizer_to_gguf(const HfDirectory& directory,
                                         const TokenizerToGgufOptions& options = {});

// The kind of tokenizer.ggml.pre that cuts text as this byte-level BPE does.
Result<std::string> detect_pre_kind(const TokenizerSpec& spec);

}  // namespace pare

// Reads a tokenizer out of GGUF metadata (tokenizer.ggml.*), with the defaults that llama.cpp has
// where a key is absent.
#pragma once

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

Result<TokenizerSpec> tokenizer_spec_from_gguf(const gguf::Metadata& metadata);

}  // namespace pare

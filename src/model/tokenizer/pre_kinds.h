// The kinds of pre-tokenizer that GGUF names in tokenizer.ggml.pre for byte-level BPE.
//
// Where llama.cpp approximates a model's regex (it has no case-insensitive groups and no letter
// cases), the model's own regex stands here, so that tokens are those of the original tokenizer.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/pre_tokenizer.h"

namespace pare {

struct PreKind {
  std::string_view name;
  std::span<const char* const> regexes;  // applied in turn; matches and gaps both become pieces
  bool ignore_merges = false;
  bool add_bos = false;  // where tokenizer.ggml.add_bos_token does not say
  bool add_sep = false;
};

// All known kinds, in the data file pre_kinds_data.cpp.
std::span<const PreKind> pre_kinds();
const PreKind* find_pre_kind(std::string_view name);  // null: unknown

Result<PreTokenizer> pre_tokenizer_of(const PreKind& kind);

}  // namespace pare

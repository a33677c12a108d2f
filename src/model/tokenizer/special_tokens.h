// Which tokens end a turn, by their text: model files often do not say.
#pragma once

#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

// Fills spec->end_of_generation and those of spec->special that are not set but can be told from
// token texts (EOT, EOM). Tokens found so become control tokens, as their spelling says.
void find_end_tokens(TokenizerSpec* spec);

}  // namespace pare

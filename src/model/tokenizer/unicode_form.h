// Unicode normalization forms (UAX #15) as Hugging Face's tokenizers compute them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace pare {

struct UnicodeForm {
  bool compose = true;         // NFC and NFKC
  bool compatibility = false;  // NFKC and NFKD
};

// `text` must be valid UTF-8 of at most 1 GiB.
//
// Their data is that of Unicode 9: characters of later versions are left where they are, although
// newer data would reorder or decompose them. Tokens of the original tokenizer need the same.
Result<std::string> to_unicode_form(std::string_view text, const UnicodeForm& form);

}  // namespace pare

// The printable alphabet in which byte-level BPE vocabularies write raw bytes (GPT-2): printable
// Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order. " the" is "Ġthe".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pare {

// Raw bytes to the alphabet (valid UTF-8).
std::string bytes_to_alphabet(std::string_view bytes);

// The alphabet back to raw bytes; nothing if some character is not of the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view text);

}  // namespace pare

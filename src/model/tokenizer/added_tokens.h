// Tokens that are looked for in the text itself, before anything else: control tokens and tokens
// that were added to a vocabulary. Leftmost match first, the longest among those that begin there.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pare {

struct AddedToken {
  int32_t id = -1;
  std::string text;
  bool special = true;       // matched only if the caller asks for special tokens
  bool lstrip = false;       // takes the whitespace before it, too
  bool rstrip = false;       // and after it
  bool single_word = false;  // only where no word character touches it
  bool normalized = false;   // matched in normalized text, else in the text as given
};

// A part of a text: a token, or text still to be encoded (id < 0).
struct Fragment {
  int32_t id = -1;
  std::string_view text;
};

// A set of added tokens, as a trie. Immutable: any number of threads may use it.
class AddedTokens {
 public:
  // Texts that are empty or longer than kMaxText bytes are never matched.
  static constexpr size_t kMaxText = 1024;
  explicit AddedTokens(std::vector<AddedToken> tokens = {});

  bool empty() const { return tokens_.empty(); }
  // Cuts `text` into fragments, in order. Special tokens count only if parse_special.
  void split(std::string_view text, bool parse_special, std::vector<Fragment>* out) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t offset, bool parse_special) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: node << 8 | byte to node; node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::vector<int32_t> token_at_;   // per node: index into tokens_ or -1
  std::array<bool, 256> begins_{};  // bytes with which some token begins
};

}  // namespace pare

#include "model/tokenizer/added_tokens.h"

#include <utf8proc.h>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  if (c == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// Letters, marks, decimal digits and connecting punctuation: regex \w.
bool is_word_character(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

// The code point that ends at text[end]; end > 0.
CodePoint code_point_before(std::string_view text, size_t end) {
  for (size_t size = 1; size <= 4 && size <= end; ++size) {
    const CodePoint c = decode_utf8(text, end - size);
    if (c.valid && c.size == size) return c;
  }
  return {};
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_word_character(code_point_before(text, begin).value)) ||
         (end < text.size() && is_word_character(decode_utf8(text, end).value));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_at_(1, -1) {
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& text = tokens_[t].text;
    if (text.empty() || text.size() > kMaxText) continue;
    uint32_t node = 0;
    for (char c : text) {
      const uint64_t key = static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(c);
      const auto [edge, added] = edges_.try_emplace(key, static_cast<uint32_t>(token_at_.size()));
      if (added) token_at_.push_back(-1);
      node = edge->second;
    }
    if (token_at_[node] < 0) token_at_[node] = static_cast<int32_t>(t);
    begins_[static_cast<uint8_t>(text[0])] = true;
  }
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t offset,
                                          bool parse_special) const {
  const AddedToken* longest = nullptr;
  uint32_t node = 0;
  for (size_t i = offset; i < text.size(); ++i) {
    const auto edge = edges_.find(static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (token_at_[node] < 0) continue;
    const AddedToken& token = tokens_[token_at_[node]];
    if (parse_special || !token.special) longest = &token;
  }
  return longest;
}

void AddedTokens::split(std::string_view text, bool parse_special,
                        std::vector<Fragment>* out) const {
  size_t done = 0;  // everything before it is in `out`
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = nullptr;
    if (begins_[static_cast<uint8_t>(text[at])]) token = longest_at(text, at, parse_special);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->text.size();
    at = end;
    if (token->single_word && touches_word(text, begin, end)) continue;
    if (token->lstrip) {
      while (begin > done) {
        const CodePoint c = code_point_before(text.substr(done), begin - done);
        if (!c.valid || !is_white_space(c.value)) break;
        begin -= c.size;
      }
    }
    if (token->rstrip) {
      while (end < text.size()) {
        const CodePoint c = decode_utf8(text, end);
        if (!c.valid || !is_white_space(c.value)) break;
        end += c.size;
      }
      at = end;
    }
    if (begin > done) out->push_back({-1, text.substr(done, begin - done)});
    out->push_back({token->id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) out->push_back({-1, text.substr(done)});
}

}  // namespace pare

#include "model/tokenizer/word_piece.h"

#include <algorithm>

#include "model/tokenizer/utf8.h"

namespace pare {

WordPiece::WordPiece(const TokenIndex* index, Options options)
    : index_(index), options_(std::move(options)) {
  for (const auto& [text, id] : *index_) longest_token_ = std::max(longest_token_, text.size());
}

void WordPiece::encode(std::string_view piece, std::vector<int32_t>* ids) const {
  const size_t first = ids->size();
  const auto give_up = [&] {
    ids->resize(first);
    if (options_.unknown >= 0) ids->push_back(options_.unknown);
  };
  const auto code_points = static_cast<size_t>(
      std::count_if(piece.begin(), piece.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  if (options_.max_code_points != 0 && code_points > options_.max_code_points) return give_up();
  std::string candidate;
  for (size_t at = 0; at < piece.size();) {
    const std::string& prefix = at == 0 ? options_.first_prefix : options_.continuation_prefix;
    candidate = prefix;
    candidate += piece.substr(at, longest_token_);
    auto found = index_->end();
    while (candidate.size() > prefix.size()) {
      found = index_->find(candidate);
      if (found != index_->end()) break;
      candidate.pop_back();
    }
    if (found == index_->end()) return give_up();
    ids->push_back(found->second);
    at += candidate.size() - prefix.size();
  }
}

}  // namespace pare

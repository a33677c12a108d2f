// BERT's WordPiece (Schuster & Nakajima, ICASSP 2012; Devlin et al., 2019): each word is covered by
// the longest token at its beginning, then the longest continuation, and so on.
#pragma once

#include "model/tokenizer/bpe.h"

namespace pare {

class WordPiece : public PieceEncoder {
 public:
  struct Options {
    std::string first_prefix;         // in front of a word's first token ("\u2581" in GGUF)
    std::string continuation_prefix;  // in front of the others ("##" in Hugging Face's files)
    int32_t unknown = -1;             // the whole word becomes this if it cannot be covered
    size_t max_code_points = 0;       // a longer word is unknown; 0: no limit
  };
  // index must outlive the encoder.
  WordPiece(const TokenIndex* index, Options options);
  void encode(std::string_view piece, std::vector<int32_t>* ids) const override;

 private:
  const TokenIndex* index_;
  Options options_;
  size_t longest_token_ = 0;
};

}  // namespace pare

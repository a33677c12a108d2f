// The models that turn one piece of text into token ids by merging neighbours: byte-pair encoding
// by merge rank (Sennrich et al., ACL 2016) and SentencePiece's variant by token score (Kudo &
// Richardson, EMNLP 2018). Both take O(n log n) for a piece of n bytes. Immutable after creation:
// any number of threads may encode.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"

namespace pare {

// Token text to id. The views point into the tokenizer's vocabulary.
using TokenIndex = std::unordered_map<std::string_view, int32_t>;

class PieceEncoder {
 public:
  virtual ~PieceEncoder() = default;
  // Appends the ids of `piece`, which is not empty.
  virtual void encode(std::string_view piece, std::vector<int32_t>* ids) const = 0;
};

// What happens to characters that the vocabulary lacks.
struct UnknownPolicy {
  int32_t unknown = -1;  // -1: they are dropped
  bool fuse = false;     // a run of unknown characters gives one token
  // Ids of the tokens for single bytes; used if all 256 are there.
  bool byte_fallback = false;
  std::array<int32_t, 256> bytes{};
};

// BPE by rank. With `bytes_are_symbols` pieces start as single bytes, else as code points.
class RankedBpe : public PieceEncoder {
 public:
  struct Options {
    bool bytes_are_symbols = true;
    bool ignore_merges = false;  // a piece that is itself a token becomes that token
    UnknownPolicy unknown;
  };
  using Merge = std::pair<std::string, std::string>;

  // index: holds the tokens of ids [0, vocabulary); it must outlive the encoder. merges: best
  // first. Parts and results of merges that are no tokens may still be merged further; what is left
  // of them at the end falls apart into its symbols.
  RankedBpe(const TokenIndex* index, size_t vocabulary, const std::vector<Merge>& merges,
            const Options& options);
  void encode(std::string_view piece, std::vector<int32_t>* ids) const override;

 private:
  struct Ranked {
    int32_t rank;
    int32_t result;
  };
  const Ranked* find(int32_t left, int32_t right) const;
  int32_t intern(const std::string& text);
  // Appends the ids of the piece's symbols, before any merge.
  void append_symbols(std::string_view text, std::vector<int32_t>* ids) const;

  const TokenIndex* index_;
  int32_t vocabulary_;
  Options options_;
  std::array<int32_t, 256> byte_symbols_{};
  std::unordered_map<std::string, int32_t> extra_;  // texts in merges that are no tokens
  std::vector<std::string> extra_text_;             // by id - vocabulary_
  std::unordered_map<uint64_t, Ranked> merges_;     // left << 32 | right
};

// SentencePiece BPE: of all neighbours whose joined text is a token, the best score is merged
// first, the leftmost among equals.
class ScoredBpe : public PieceEncoder {
 public:
  // scores: one per token.
  ScoredBpe(const TokenIndex* index, std::vector<float> scores, const UnknownPolicy& unknown);
  void encode(std::string_view piece, std::vector<int32_t>* ids) const override;

 private:
  const TokenIndex* index_;
  std::vector<float> scores_;
  UnknownPolicy unknown_;
  size_t longest_token_ = 0;
};

}  // namespace pare

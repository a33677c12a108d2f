// Everything that defines a tokenizer, however it was stored. Loaders fill it (gguf_spec.h,
// hf_spec.h), Tokenizer runs it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/pre_tokenizer.h"

namespace pare {

// The numbers are those of GGUF's tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Ids of tokens with a meaning; -1: there is none.
struct SpecialIds {
  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, pad = -1, sep = -1, cls = -1, mask = -1;
};

struct TokenizerSpec {
  enum class Algorithm { kRankedBpe, kScoredBpe, kWordPiece } algorithm = Algorithm::kRankedBpe;
  // Token texts are in GPT-2's byte alphabet; otherwise they are text with U+2581 for spaces.
  bool byte_level = false;

  std::vector<std::string> tokens;  // as stored; an unused id has any text that is unique
  std::vector<TokenType> types;     // one per token
  std::vector<float> scores;        // one per token: kScoredBpe
  std::vector<std::pair<std::string, std::string>> merges;  // best first: kRankedBpe
  bool ignore_merges = false;
  bool byte_fallback = false;  // characters that are no tokens become <0xXX> tokens
  bool fuse_unknown = false;
  std::string continuation_prefix = "##";  // kWordPiece
  std::string word_prefix;                 // kWordPiece
  size_t max_word_code_points = 0;         // kWordPiece; 0: no limit

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;
  // Put before and after a text when special tokens are asked for.
  std::vector<int32_t> prefix, suffix;
  SpecialIds special;
  std::vector<int32_t> end_of_generation;
  // Decoding drops one space from the beginning (it was put there when encoding).
  bool strip_first_space = false;
  std::string chat_template;  // Jinja; empty: none
};

}  // namespace pare

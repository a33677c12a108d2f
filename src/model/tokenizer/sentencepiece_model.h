// Reads SentencePiece's tokenizer.model: a protocol buffer, of which only the pieces and the few
// settings that matter are looked at. Files are not trusted: every length is checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pare {

struct SentencePieceModel {
  // Numbers of the file; they are also GGUF's token types.
  enum PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  struct Piece {
    std::string text;
    float score = 0.0f;
    int type = kNormal;
  };
  std::vector<Piece> pieces;
  int model_type = kUnigram;
  bool byte_fallback = false;
  int32_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool has_character_map = false;  // a normalization beyond whitespace
};

// label: what errors call the file.
Result<SentencePieceModel> parse_sentencepiece_model(std::span<const std::byte> bytes,
                                                     std::string_view label);

}  // namespace pare

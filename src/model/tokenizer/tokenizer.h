// Text to token ids and back, exactly as the model's own tokenizer does it: byte-level BPE,
// SentencePiece's BPE and BERT's WordPiece, from GGUF metadata or a Hugging Face directory.
//
// Immutable after creation: any number of threads may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/tokenizer_spec.h"

namespace pare {

class HfDirectory;

struct EncodeOptions {
  bool add_special = true;    // BOS, EOS and the like where the model wants them
  bool parse_special = true;  // control tokens that are written out in the text are recognised
};

class Tokenizer {
 public:
  // tokenizer.ggml.*: model "gpt2" (kinds of tokenizer.ggml.pre in pre_kinds.h), "llama", "bert".
  // Errors: kUnsupported names the model or kind that this build does not know; kCorrupt.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const gguf::Metadata& metadata);
  // tokenizer.json, or tokenizer.model (SentencePiece) where that is absent; tokenizer_config.json
  // and the like for special tokens and the chat template.
  static Result<std::shared_ptr<const Tokenizer>> from_hf(const HfDirectory& directory);
  // Errors: ids or sizes in the spec that do not fit together.
  static Result<std::shared_ptr<const Tokenizer>> create(TokenizerSpec spec);

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Bytes that are not UTF-8 count as U+FFFD. Errors: a regex of the model's file gave up.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      const EncodeOptions& options = {}) const;

  // The text of the ids; ids outside the vocabulary give nothing. skip_special leaves out control
  // tokens and the space that encoding puts at the beginning.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  // The bytes that a token stands for, which need not be valid UTF-8; empty if id is out of range.
  std::string_view token_to_piece(int32_t id) const;

  int32_t vocabulary() const { return static_cast<int32_t>(spec_.tokens.size()); }
  const SpecialIds& special() const { return spec_.special; }
  bool adds_bos() const { return !spec_.prefix.empty(); }
  bool adds_eos() const { return !spec_.suffix.empty(); }
  bool is_end_of_generation(int32_t id) const;
  bool is_control(int32_t id) const;
  // The id whose stored text this is ("<|im_end|>"), or -1.
  int32_t find(std::string_view stored_text) const;
  const std::string& chat_template() const { return spec_.chat_template; }
  const TokenizerSpec& spec() const { return spec_; }

 private:
  struct Cache;
  explicit Tokenizer(TokenizerSpec spec);
  Status build();
  void build_pieces();
  UnknownPolicy unknown_policy() const;
  Status encode_text(std::string_view text, bool at_start, bool parse_special, Cache* cache,
                     std::vector<int32_t>* ids) const;

  TokenizerSpec spec_;
  std::vector<std::string> pieces_;  // by id
  std::vector<std::string> keys_;    // by id: what the encoder looks up; empty if it must not
  TokenIndex index_;                 // keys_ to id
  TokenIndex stored_;                // stored text to id
  AddedTokens raw_added_, normalized_added_;
  std::unique_ptr<const PieceEncoder> encoder_;
};

}  // namespace pare

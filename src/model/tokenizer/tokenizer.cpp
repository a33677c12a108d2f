#include "model/tokenizer/tokenizer.h"

#include <algorithm>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/gguf_spec.h"
#include "model/tokenizer/hf_spec.h"
#include "model/tokenizer/utf8.h"
#include "model/tokenizer/word_piece.h"

namespace pare {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, SentencePiece's space

std::string with_spaces(std::string_view text) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text.find(kSpaceMark, begin)) != std::string_view::npos;) {
    out += text.substr(begin, at - begin);
    out += ' ';
    begin = at + kSpaceMark.size();
  }
  out += text.substr(begin);
  return out;
}

// "<0x0A>" gives 10; -1 if that is not what the text is.
int byte_of(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = digit(text[3]);
  const int low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_literal(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined ||
         type == TokenType::kUnknown;
}

}  // namespace

// Words repeat: what a piece gave the first time is looked up afterwards. One per call of encode.
struct Tokenizer::Cache {
  static constexpr size_t kMaxPiece = 48;      // longer ones hardly repeat
  static constexpr size_t kMaxPieces = 65536;  // bounds the memory
  std::unordered_map<std::string, std::vector<int32_t>> ids;
};

Tokenizer::Tokenizer(TokenizerSpec spec) : spec_(std::move(spec)) {}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(TokenizerSpec spec) {
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(spec)));
  PARE_RETURN_IF_ERROR(tokenizer->build());
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const gguf::Metadata& metadata) {
  PARE_ASSIGN_OR_RETURN(TokenizerSpec spec, tokenizer_spec_from_gguf(metadata));
  return create(std::move(spec));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_hf(const HfDirectory& directory) {
  PARE_ASSIGN_OR_RETURN(TokenizerSpec spec, tokenizer_spec_from_hf(directory));
  return create(std::move(spec));
}

Status Tokenizer::build() {
  const size_t n = spec_.tokens.size();
  if (n == 0 || n > (size_t{1} << 30)) {
    return corrupt("a vocabulary of {} tokens: expected between 1 and 2^30", n);
  }
  spec_.types.resize(n, TokenType::kNormal);
  const bool scored = spec_.algorithm == TokenizerSpec::Algorithm::kScoredBpe;
  if (scored && spec_.scores.size() != n) {
    return corrupt("{} scores for {} tokens: expected one each", spec_.scores.size(), n);
  }
  const auto in_range = [n](int32_t id) { return id >= 0 && static_cast<size_t>(id) < n; };
  for (const std::vector<int32_t>* list : {&spec_.prefix, &spec_.suffix}) {
    for (int32_t id : *list) {
      if (!in_range(id)) return corrupt("special token {} of a vocabulary of {}", id, n);
    }
  }
  std::vector<AddedToken> raw, normalized;
  for (AddedToken& token : spec_.added) {
    if (!in_range(token.id)) {
      return corrupt("added token '{}' has id {} in a vocabulary of {}", token.text, token.id, n);
    }
    if (token.normalized) {
      normalized.push_back(token);
      PARE_ASSIGN_OR_RETURN(normalized.back().text,
                            spec_.normalizer.apply(repair_utf8(token.text)));
    } else {
      raw.push_back(token);
    }
  }
  raw_added_ = AddedTokens(std::move(raw));
  normalized_added_ = AddedTokens(std::move(normalized));
  build_pieces();

  switch (spec_.algorithm) {
    case TokenizerSpec::Algorithm::kRankedBpe: {
      std::vector<RankedBpe::Merge> in_bytes;
      if (spec_.byte_level) {
        in_bytes.reserve(spec_.merges.size());
        for (const auto& [left, right] : spec_.merges) {
          const auto l = alphabet_to_bytes(left);
          const auto r = alphabet_to_bytes(right);
          if (l && r) in_bytes.emplace_back(*l, *r);
        }
      }
      const RankedBpe::Options options{spec_.byte_level, spec_.ignore_merges, unknown_policy()};
      encoder_ = std::make_unique<RankedBpe>(&index_, n, spec_.byte_level ? in_bytes : spec_.merges,
                                             options);
      break;
    }
    case TokenizerSpec::Algorithm::kScoredBpe:
      encoder_ = std::make_unique<ScoredBpe>(&index_, spec_.scores, unknown_policy());
      break;
    case TokenizerSpec::Algorithm::kWordPiece:
      encoder_ = std::make_unique<WordPiece>(
          &index_, WordPiece::Options{spec_.word_prefix, spec_.continuation_prefix,
                                      spec_.special.unk, spec_.max_word_code_points});
      break;
  }
  return {};
}

void Tokenizer::build_pieces() {
  const size_t n = spec_.tokens.size();
  pieces_.resize(n);
  keys_.resize(n);
  index_.reserve(n);
  stored_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const std::string& text = spec_.tokens[i];
    std::optional<std::string> bytes;
    if (spec_.byte_level) bytes = alphabet_to_bytes(text);
    keys_[i] = spec_.byte_level ? bytes.value_or("") : text;
    if (is_literal(spec_.types[i])) {
      pieces_[i] = text;
    } else if (spec_.byte_level) {
      pieces_[i] = bytes.value_or(text);
    } else if (const int byte = byte_of(text); byte >= 0 && spec_.byte_fallback) {
      pieces_[i] = std::string(1, static_cast<char>(byte));
    } else {
      pieces_[i] = with_spaces(text);
    }
    const auto id = static_cast<int32_t>(i);
    stored_.try_emplace(text, id);
    if (keys_[i].empty()) continue;
    const auto [it, added] = index_.try_emplace(keys_[i], id);
    // Of two tokens with one text the normal one is what encoding gives.
    if (!added && spec_.types[it->second] != TokenType::kNormal) it->second = id;
  }
}

UnknownPolicy Tokenizer::unknown_policy() const {
  UnknownPolicy policy;
  policy.unknown = spec_.special.unk;
  policy.fuse = spec_.fuse_unknown;
  policy.byte_fallback = spec_.byte_fallback;
  for (int b = 0; b < 256 && policy.byte_fallback; ++b) {
    const int32_t id = find(fmt::format("<0x{:02X}>", b));
    policy.byte_fallback = id >= 0;
    policy.bytes[b] = id;
  }
  return policy;
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text,
                                               const EncodeOptions& options) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repair_utf8(text);
  std::vector<int32_t> ids;
  if (options.add_special) ids = spec_.prefix;
  std::vector<Fragment> fragments;
  raw_added_.split(text, options.parse_special, &fragments);
  Cache cache;
  for (const Fragment& fragment : fragments) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      const bool at_start = fragment.text.data() == text.data();
      PARE_RETURN_IF_ERROR(
          encode_text(fragment.text, at_start, options.parse_special, &cache, &ids));
    }
  }
  if (options.add_special) ids.insert(ids.end(), spec_.suffix.begin(), spec_.suffix.end());
  return ids;
}

Status Tokenizer::encode_text(std::string_view text, bool at_start, bool parse_special,
                              Cache* cache, std::vector<int32_t>* ids) const {
  std::string normalized;
  if (!spec_.normalizer.empty()) {
    PARE_ASSIGN_OR_RETURN(normalized, spec_.normalizer.apply(text));
    text = normalized;
  }
  std::vector<Fragment> fragments;
  normalized_added_.split(text, parse_special, &fragments);
  Pieces pieces;
  for (const Fragment& fragment : fragments) {
    if (fragment.id >= 0) {
      ids->push_back(fragment.id);
      continue;
    }
    const bool first = at_start && fragment.text.data() == text.data();
    PARE_RETURN_IF_ERROR(spec_.pre_tokenizer.split(fragment.text, first, &pieces));
    for (std::string_view piece : pieces.parts) {
      if (piece.size() > Cache::kMaxPiece) {
        encoder_->encode(piece, ids);
        continue;
      }
      if (cache->ids.size() > Cache::kMaxPieces) cache->ids.clear();
      const auto [it, added] = cache->ids.try_emplace(std::string(piece));
      if (added) encoder_->encode(piece, &it->second);
      ids->insert(ids->end(), it->second.begin(), it->second.end());
    }
  }
  return {};
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  bool first = spec_.strip_first_space && skip_special;
  for (int32_t id : ids) {
    if (skip_special && is_control(id)) continue;
    std::string_view piece = token_to_piece(id);
    if (first && piece.starts_with(' ')) piece.remove_prefix(1);
    first = false;
    text += piece;
  }
  return text;
}

std::string_view Tokenizer::token_to_piece(int32_t id) const {
  if (id < 0 || id >= vocabulary()) return {};
  return pieces_[id];
}

bool Tokenizer::is_control(int32_t id) const {
  return id >= 0 && id < vocabulary() && (spec_.types[id] == TokenType::kControl);
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::find(spec_.end_of_generation.begin(), spec_.end_of_generation.end(), id) !=
         spec_.end_of_generation.end();
}

int32_t Tokenizer::find(std::string_view stored_text) const {
  const auto it = stored_.find(stored_text);
  return it == stored_.end() ? -1 : it->second;
}

}  // namespace pare

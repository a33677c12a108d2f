#include "model/tokenizer/bpe.h"

#include <algorithm>
#include <queue>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// Appends tokens for text that the vocabulary does not have. `fresh`: the token before it, if any,
// does not stand for unknown text that this could be fused with.
void append_unknown(std::string_view text, const UnknownPolicy& policy, bool fresh,
                    std::vector<int32_t>* ids) {
  if (policy.byte_fallback) {
    for (char c : text) ids->push_back(policy.bytes[static_cast<uint8_t>(c)]);
  } else if (policy.unknown >= 0 && (fresh || !policy.fuse)) {
    ids->push_back(policy.unknown);
  }
}

// Neighbours in a chain of symbols; -1 ends it.
struct Links {
  int32_t previous;
  int32_t next;
};

std::vector<Links> chain(size_t size) {
  std::vector<Links> links(size);
  for (size_t i = 0; i < size; ++i) {
    links[i] = {static_cast<int32_t>(i) - 1, static_cast<int32_t>(i) + 1};
  }
  if (size > 0) links.back().next = -1;
  return links;
}

// Takes `right` (the symbol after `left`) out of the chain.
void unlink(std::vector<Links>* links, int32_t left, int32_t right) {
  const int32_t after = (*links)[right].next;
  (*links)[left].next = after;
  if (after >= 0) (*links)[after].previous = left;
}

constexpr int32_t kMerged = -1;  // a symbol that has become part of the one before it

}  // namespace

RankedBpe::RankedBpe(const TokenIndex* index, size_t vocabulary, const std::vector<Merge>& merges,
                     const Options& options)
    : index_(index), vocabulary_(static_cast<int32_t>(vocabulary)), options_(options) {
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto it = index_->find(std::string_view(&byte, 1));
    byte_symbols_[b] = it == index_->end() ? options_.unknown.unknown : it->second;
  }
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const uint64_t key =
        static_cast<uint64_t>(intern(left)) << 32 | static_cast<uint32_t>(intern(right));
    merges_.try_emplace(key, Ranked{rank++, intern(left + right)});
  }
}

int32_t RankedBpe::intern(const std::string& text) {
  if (const auto it = index_->find(text); it != index_->end()) return it->second;
  const auto id = static_cast<int32_t>(vocabulary_ + extra_text_.size());
  const auto [it, added] = extra_.try_emplace(text, id);
  if (added) extra_text_.push_back(text);
  return it->second;
}

const RankedBpe::Ranked* RankedBpe::find(int32_t left, int32_t right) const {
  const auto it = merges_.find(static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right));
  return it == merges_.end() ? nullptr : &it->second;
}

void RankedBpe::append_symbols(std::string_view text, std::vector<int32_t>* ids) const {
  if (options_.bytes_are_symbols) {
    for (char c : text) {
      const int32_t id = byte_symbols_[static_cast<uint8_t>(c)];
      if (id >= 0) ids->push_back(id);
    }
    return;
  }
  bool after_unknown = false;
  for (size_t i = 0; i < text.size();) {
    const std::string_view symbol = text.substr(i, decode_utf8(text, i).size);
    i += symbol.size();
    const auto it = index_->find(symbol);
    if (it != index_->end()) {
      ids->push_back(it->second);
    } else {
      append_unknown(symbol, options_.unknown, !after_unknown, ids);
    }
    after_unknown = it == index_->end();
  }
}

void RankedBpe::encode(std::string_view piece, std::vector<int32_t>* ids) const {
  if (options_.ignore_merges) {
    if (const auto it = index_->find(piece); it != index_->end()) {
      ids->push_back(it->second);
      return;
    }
  }
  std::vector<int32_t> symbols;
  append_symbols(piece, &symbols);
  std::vector<Links> links = chain(symbols.size());

  struct Candidate {
    int32_t rank, left, result;
    bool operator<(const Candidate& o) const {  // the queue yields its greatest: lowest rank
      return rank != o.rank ? rank > o.rank : left > o.left;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || links[left].next < 0) return;
    if (const Ranked* merge = find(symbols[left], symbols[links[left].next])) {
      queue.push({merge->rank, left, merge->result});
    }
  };
  for (size_t i = 0; i < symbols.size(); ++i) offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (symbols[best.left] == kMerged || links[best.left].next < 0) continue;
    const int32_t right = links[best.left].next;
    const Ranked* merge = find(symbols[best.left], symbols[right]);
    if (merge == nullptr || merge->result != best.result) continue;  // outdated
    symbols[best.left] = best.result;
    symbols[right] = kMerged;
    unlink(&links, best.left, right);
    offer(links[best.left].previous);
    offer(best.left);
  }
  for (int32_t symbol : symbols) {
    if (symbol == kMerged) continue;
    if (symbol < vocabulary_) {
      ids->push_back(symbol);
    } else {
      append_symbols(extra_text_[symbol - vocabulary_], ids);
    }
  }
}

ScoredBpe::ScoredBpe(const TokenIndex* index, std::vector<float> scores,
                     const UnknownPolicy& unknown)
    : index_(index), scores_(std::move(scores)), unknown_(unknown) {
  for (const auto& [text, id] : *index_) longest_token_ = std::max(longest_token_, text.size());
}

void ScoredBpe::encode(std::string_view piece, std::vector<int32_t>* ids) const {
  std::vector<std::string_view> symbols;  // an empty one has become part of the one before it
  for (size_t i = 0; i < piece.size(); i += symbols.back().size()) {
    symbols.push_back(piece.substr(i, decode_utf8(piece, i).size));
  }
  std::vector<Links> links = chain(symbols.size());

  struct Candidate {
    float score;
    int32_t left;
    size_t size;
    bool operator<(const Candidate& o) const {
      return score != o.score ? score < o.score : left > o.left;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || links[left].next < 0) return;
    const size_t size = symbols[left].size() + symbols[links[left].next].size();
    if (size > longest_token_) return;
    const auto it = index_->find(std::string_view(symbols[left].data(), size));
    if (it != index_->end()) queue.push({scores_[it->second], left, size});
  };
  for (size_t i = 0; i < symbols.size(); ++i) offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const int32_t right = links[best.left].next;
    if (symbols[best.left].empty() || right < 0 ||
        symbols[best.left].size() + symbols[right].size() != best.size) {
      continue;  // outdated
    }
    symbols[best.left] = std::string_view(symbols[best.left].data(), best.size);
    symbols[right] = {};
    unlink(&links, best.left, right);
    offer(links[best.left].previous);
    offer(best.left);
  }
  bool after_unknown = false;
  for (std::string_view symbol : symbols) {
    if (symbol.empty()) continue;
    const auto it = index_->find(symbol);
    if (it != index_->end()) {
      ids->push_back(it->second);
    } else {
      append_unknown(symbol, unknown_, !after_unknown, ids);
    }
    after_unknown = it == index_->end();
  }
}

}  // namespace pare

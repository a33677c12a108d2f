#include "model/tokenizer/pre_tokenizer.h"

#include "model/tokenizer/byte_alphabet.h"

namespace pare {

const char kGpt2Regex[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

struct Segment {
  TextRange range;
  bool matched = false;
};

// Matches and gaps, in order, covering the text.
std::vector<Segment> cover(size_t size, const std::vector<TextRange>& matches, bool invert) {
  std::vector<Segment> segments;
  size_t at = 0;
  for (const TextRange& m : matches) {
    if (m.begin > at) segments.push_back({{at, m.begin}, invert});
    segments.push_back({m, !invert});
    at = m.end;
  }
  if (at < size) segments.push_back({{at, size}, invert});
  return segments;
}

// Whether `segment` joins the piece before it.
bool joins(const Segment& segment, bool have_previous, bool previous_matched,
           SplitBehavior behavior) {
  if (!have_previous) return false;
  switch (behavior) {
    case SplitBehavior::kContiguous:
      return segment.matched == previous_matched;
    case SplitBehavior::kMergedWithPrevious:
      return segment.matched && !previous_matched;
    case SplitBehavior::kMergedWithNext:
      return !segment.matched && previous_matched;
    default:
      return false;
  }
}

void apply_split(std::string_view piece, const std::vector<TextRange>& matches, bool invert,
                 SplitBehavior behavior, std::vector<std::string_view>* out) {
  TextRange current;
  bool have_previous = false;
  bool previous_matched = false;
  const auto flush = [&] {
    if (current.end > current.begin) {
      out->push_back(piece.substr(current.begin, current.end - current.begin));
    }
  };
  for (const Segment& s : cover(piece.size(), matches, invert)) {
    if (joins(s, have_previous, previous_matched, behavior)) {
      current.end = s.range.end;
    } else {
      flush();
      current = s.range;
    }
    have_previous = true;
    previous_matched = s.matched;
    if (behavior == SplitBehavior::kRemoved && s.matched) current = {};
  }
  flush();
}

std::string with_spaces_replaced(std::string_view text, std::string_view replacement) {
  std::string out;
  for (char c : text) {
    if (c == ' ') {
      out += replacement;
    } else {
      out += c;
    }
  }
  return out;
}

// Cuts before each occurrence of `mark`.
void split_before(std::string_view piece, std::string_view mark,
                  std::vector<std::string_view>* out) {
  size_t begin = 0;
  while (begin < piece.size()) {
    size_t end = mark.empty() ? std::string_view::npos : piece.find(mark, begin + 1);
    if (end == std::string_view::npos) end = piece.size();
    out->push_back(piece.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace

Status PreTokenizer::split(std::string_view text, bool at_start, Pieces* pieces) const {
  pieces->parts.assign(text.empty() ? 0 : 1, text);
  bool in_alphabet = false;  // a ByteLevel step with steps after it has rewritten the pieces
  std::vector<std::string_view> next;
  std::vector<TextRange> matches;
  for (size_t step = 0; step < steps_.size(); ++step) {
    next.clear();
    for (std::string_view piece : pieces->parts) {
      if (const auto* s = std::get_if<SplitStep>(&steps_[step])) {
        PARE_RETURN_IF_ERROR(s->regex.find_all(piece, &matches));
        apply_split(piece, matches, s->invert, s->behavior, &next);
      } else if (const auto* b = std::get_if<ByteLevelStep>(&steps_[step])) {
        if (b->add_prefix_space && piece.front() != ' ') {
          piece = pieces->storage.emplace_back(" " + std::string(piece));
        }
        if (step + 1 < steps_.size()) {
          piece = pieces->storage.emplace_back(bytes_to_alphabet(piece));
          in_alphabet = true;
        }
        next.push_back(piece);
      } else if (const auto* m = std::get_if<MetaspaceStep>(&steps_[step])) {
        std::string changed = with_spaces_replaced(piece, m->replacement);
        const bool first = at_start && piece.data() == text.data();
        const bool prepend = m->prepend == MetaspaceStep::Prepend::kAlways ||
                             (m->prepend == MetaspaceStep::Prepend::kFirst && first);
        if (prepend && !changed.starts_with(m->replacement)) changed = m->replacement + changed;
        piece = pieces->storage.emplace_back(std::move(changed));
        if (m->split) {
          split_before(piece, m->replacement, &next);
        } else {
          next.push_back(piece);
        }
      }
    }
    pieces->parts.swap(next);
  }
  if (!in_alphabet) return {};
  for (std::string_view& piece : pieces->parts) {
    std::optional<std::string> bytes = alphabet_to_bytes(piece);
    PARE_CHECK(bytes.has_value(), "pieces of a byte-level step stay in its alphabet");
    piece = pieces->storage.emplace_back(*std::move(bytes));
  }
  return {};
}

}  // namespace pare

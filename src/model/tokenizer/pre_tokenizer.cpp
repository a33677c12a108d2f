#include "model/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "model/tokenizer/byte_alphabet.h"

namespace pare {

namespace {

const Regex& gpt2_regex() {
  static const Regex regex =
      Regex::compile(
          R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")
          .value();
  return regex;
}

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

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

bool PreTokenizer::byte_level() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const PreTokenizerStep& step) {
    return std::holds_alternative<ByteLevelStep>(step);
  });
}

namespace {

// Applies one step to one piece.
struct ApplyStep {
  std::string_view piece;
  bool at_start;      // the piece is the beginning of the whole input
  bool last;          // no step follows
  bool* in_alphabet;  // set when pieces are rewritten into the byte alphabet
  std::deque<std::string>* storage;
  std::vector<std::string_view>* out;

  Status operator()(const SplitStep& step) {
    std::vector<TextRange> matches;
    PARE_RETURN_IF_ERROR(step.regex.find_all(piece, &matches));
    apply_split(piece, matches, step.invert, step.behavior, out);
    return {};
  }

  Status operator()(const ByteLevelStep& step) {
    if (step.add_prefix_space && piece.front() != ' ') {
      piece = storage->emplace_back(fmt::format(" {}", piece));
    }
    const size_t first = out->size();
    if (step.use_regex) {
      std::vector<TextRange> matches;
      PARE_RETURN_IF_ERROR(gpt2_regex().find_all(piece, &matches));
      apply_split(piece, matches, false, SplitBehavior::kIsolated, out);
    } else {
      out->push_back(piece);
    }
    if (last) return {};
    // Steps that follow see the alphabet, as they do in the original.
    *in_alphabet = true;
    for (size_t i = first; i < out->size(); ++i) {
      (*out)[i] = storage->emplace_back(bytes_to_alphabet((*out)[i]));
    }
    return {};
  }

  Status operator()(const MetaspaceStep& step) {
    std::string changed = with_spaces_replaced(piece, step.replacement);
    const bool prepend = step.prepend == MetaspaceStep::Prepend::kAlways ||
                         (step.prepend == MetaspaceStep::Prepend::kFirst && at_start);
    if (prepend && !changed.starts_with(step.replacement)) changed = step.replacement + changed;
    piece = storage->emplace_back(std::move(changed));
    if (step.split) {
      split_before(piece, step.replacement, out);
    } else {
      out->push_back(piece);
    }
    return {};
  }
};

}  // namespace

Status PreTokenizer::split(std::string_view text, bool at_start, Pieces* pieces) const {
  pieces->parts.assign(text.empty() ? 0 : 1, text);
  pieces->storage.clear();
  bool in_alphabet = false;
  std::vector<std::string_view> next;
  for (size_t i = 0; i < steps_.size(); ++i) {
    next.clear();
    for (std::string_view piece : pieces->parts) {
      const bool first = at_start && piece.data() == text.data();
      PARE_RETURN_IF_ERROR(std::visit(
          ApplyStep{piece, first, i + 1 == steps_.size(), &in_alphabet, &pieces->storage, &next},
          steps_[i]));
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

#include "serve/text_stream.h"

#include <algorithm>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// Bytes at the end that may be the beginning of a character.
size_t unfinished_character(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;  // a continuation: look for its beginning
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return back < length ? back : 0;
  }
  return 0;
}

// The longest end of `text` with which `stop` begins.
size_t beginning_of(std::string_view stop, std::string_view text) {
  for (size_t n = std::min(stop.size() - 1, text.size()); n > 0; --n) {
    if (stop.starts_with(text.substr(text.size() - n))) return n;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop_strings) : stops_(std::move(stop_strings)) {
  std::erase(stops_, "");
}

size_t TextStream::uncertain() const {
  size_t bytes = unfinished_character(held_);
  for (const std::string& stop : stops_) bytes = std::max(bytes, beginning_of(stop, held_));
  return bytes;
}

std::string TextStream::add(std::string_view bytes) {
  if (stopped_) return {};
  held_ += bytes;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  stopped_ = end != std::string::npos;
  if (!stopped_) end = held_.size() - uncertain();
  std::string certain = held_.substr(0, end);
  held_.erase(0, end);
  if (stopped_) held_.clear();
  return repair_utf8(certain);
}

std::string TextStream::finish() {
  std::string rest = repair_utf8(held_);
  held_.clear();
  return rest;
}

}  // namespace pare

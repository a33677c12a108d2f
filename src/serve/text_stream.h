// Tokens' bytes to text that may be shown at once: whole characters only, and nothing that may
// turn out to be the beginning of a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pare {

class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stop_strings = {});

  // Takes the bytes of a token; returns the text that is certain now, which may be empty. Bytes
  // that are not UTF-8 become U+FFFD.
  std::string add(std::string_view bytes);
  // What was held back. Nothing after a stop string.
  std::string finish();
  // A stop string was found; it and all behind it is not part of the text.
  bool stopped() const { return stopped_; }

 private:
  size_t uncertain() const;

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace pare

// Cuts a template's source into text and the tokens between its delimiters. Whitespace control
// follows Jinja with trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pare::jinja {

struct Token {
  enum class Kind {
    kText,
    kOutputBegin,
    kOutputEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  } kind = Kind::kEnd;
  std::string text;
  int line = 0;
};

// The last token is kEnd.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace pare::jinja

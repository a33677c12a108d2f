// Parses a template's tokens into a Block.
#pragma once

#include <memory>

#include "base/status.h"
#include "model/tokenizer/jinja/ast.h"
#include "model/tokenizer/jinja/lexer.h"

namespace pare::jinja {

// Errors name the line; nesting is bounded.
Result<std::shared_ptr<const Block>> parse(std::vector<Token> tokens);

}  // namespace pare::jinja

// Parses expressions, with Jinja's precedence: filters and tests bind closer than arithmetic.
#pragma once

#include "model/tokenizer/jinja/ast.h"
#include "model/tokenizer/jinja/token_stream.h"

namespace pare::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream* tokens) : tokens_(*tokens) {}

  // After an error (tokens->ok()) the result is some expression, to be thrown away.
  ExpressionPtr expression(bool with_conditional = true);
  // `a, b` is a tuple; a single expression is itself.
  ExpressionPtr expression_or_tuple();
  // Filters in a row, applied to nothing yet: "upper | trim".
  ExpressionPtr filters_only();

 private:
  using Kind = Expression::Kind;
  ExpressionPtr make(Kind kind, ExpressionPtr a = nullptr, ExpressionPtr b = nullptr);
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters = true);
  ExpressionPtr primary();
  ExpressionPtr parenthesised();
  ExpressionPtr list();
  ExpressionPtr dictionary();
  ExpressionPtr postfix(ExpressionPtr value);
  ExpressionPtr filters(ExpressionPtr value);
  ExpressionPtr filter(ExpressionPtr value);
  ExpressionPtr test(ExpressionPtr value);
  ExpressionPtr subscript(ExpressionPtr value);
  Arguments arguments();
  bool enter();

  // Bounds the recursion here and, as left-deep chains count as well, that of evaluation.
  static constexpr int kMaxDepth = 150;
  static constexpr int kMaxChain = 150;
  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace pare::jinja

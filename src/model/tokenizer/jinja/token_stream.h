// The tokens that are still to be parsed, and the first error, which ends parsing: from then on
// every token reads as the end.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer/jinja/lexer.h"

namespace pare::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const {
    const size_t last = tokens_.size() - 1;
    return tokens_[status_.ok() ? std::min(at_ + ahead, last) : last];
  }
  Token take() {
    Token token = peek();
    if (token.kind != Token::Kind::kEnd) ++at_;
    return token;
  }
  bool at(Token::Kind kind) const { return peek().kind == kind; }
  bool at_operator(std::string_view text) const { return is(Token::Kind::kOperator, text); }
  bool at_name(std::string_view text) const { return is(Token::Kind::kName, text); }
  bool take_operator(std::string_view text) { return at_operator(text) && (take(), true); }
  bool take_name(std::string_view text) { return at_name(text) && (take(), true); }
  void expect_operator(std::string_view text) {
    if (!take_operator(text)) fail(fmt::format("expected '{}'", text));
  }
  void expect(Token::Kind kind, std::string_view what) {
    if (at(kind)) {
      take();
    } else {
      fail(fmt::format("expected {}", what));
    }
  }
  std::string expect_name() {
    if (!at(Token::Kind::kName)) {
      fail("expected a name");
      return "";
    }
    return take().text;
  }

  void fail(std::string_view what) {
    if (!status_.ok()) return;
    const Token& token = peek();
    status_ = corrupt("template line {}: {}, found {}", token.line, what,
                      token.text.empty() ? "the end" : "'" + token.text + "'");
  }
  void refuse(std::string_view what) {
    if (status_.ok()) status_ = unsupported("template line {}: {}", peek().line, what);
  }
  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  int line() const { return peek().line; }

 private:
  bool is(Token::Kind kind, std::string_view text) const {
    return peek().kind == kind && peek().text == text;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Status status_;
};

}  // namespace pare::jinja

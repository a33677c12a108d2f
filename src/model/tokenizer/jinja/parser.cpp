#include "model/tokenizer/jinja/parser.h"

#include <algorithm>

#include "model/tokenizer/jinja/expression_parser.h"

namespace pare::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(&tokens_) {}

  Result<std::shared_ptr<const Block>> run() {
    auto block = std::make_shared<Block>(body({}));
    if (tokens_.ok() && !tokens_.at(Token::Kind::kEnd)) tokens_.fail("unexpected tag");
    if (!tokens_.ok()) return tokens_.status();
    return std::shared_ptr<const Block>(std::move(block));
  }

 private:
  using Kind = Statement::Kind;
  using Ends = std::initializer_list<std::string_view>;
  static constexpr int kMaxDepth = 100;

  Statement make(Kind kind) const {
    Statement s;
    s.kind = kind;
    s.line = tokens_.line();
    return s;
  }

  // Statements up to a tag of one of these names, which is left to be read from its name on.
  Block body(Ends ends) {
    Block block;
    if (++depth_ > kMaxDepth) tokens_.fail("blocks are nested too deeply");
    while (tokens_.ok() && !tokens_.at(Token::Kind::kEnd)) {
      if (tokens_.at(Token::Kind::kText)) {
        Statement s = make(Kind::kText);
        s.text = tokens_.take().text;
        block.statements.push_back(std::move(s));
      } else if (tokens_.at(Token::Kind::kOutputBegin)) {
        Statement s = make(Kind::kOutput);
        tokens_.take();
        s.value = expressions_.expression_or_tuple();
        tokens_.expect(Token::Kind::kOutputEnd, "'}}'");
        block.statements.push_back(std::move(s));
      } else {
        const std::string& name = tokens_.peek(1).text;
        if (std::find(ends.begin(), ends.end(), name) != ends.end()) {
          tokens_.take();
          break;
        }
        tokens_.expect(Token::Kind::kBlockBegin, "a tag");
        block.statements.push_back(statement());
      }
    }
    --depth_;
    return block;
  }

  // A body and its closing tag.
  Block body_until(std::string_view end) {
    Block block = body({end});
    close(end);
    return block;
  }

  void close(std::string_view end) {
    if (!tokens_.take_name(end)) tokens_.fail(fmt::format("expected '{}'", end));
    end_tag();
  }

  void end_tag() { tokens_.expect(Token::Kind::kBlockEnd, "'%}'"); }

  Statement statement() {
    const std::string name = tokens_.expect_name();
    if (name == "if") return if_statement();
    if (name == "for") return for_statement();
    if (name == "set") return set_statement();
    if (name == "macro") return macro_statement();
    if (name == "filter") {
      Statement s = make(Kind::kFilter);
      s.value = expressions_.filters_only();
      end_tag();
      s.bodies.push_back(body_until("endfilter"));
      return s;
    }
    if (name == "generation") {  // marks what a model wrote; it renders as its content
      Statement s = make(Kind::kGroup);
      end_tag();
      s.bodies.push_back(body_until("endgeneration"));
      return s;
    }
    if (name == "break" || name == "continue") {
      Statement s = make(name == "break" ? Kind::kBreak : Kind::kContinue);
      if (loops_ == 0) tokens_.fail(fmt::format("'{}' outside of a loop", name));
      end_tag();
      return s;
    }
    for (const char* known : {"include", "import", "from", "extends", "block", "call", "with",
                              "autoescape", "do", "trans"}) {
      if (name == known) tokens_.refuse(fmt::format("the tag '{}'", name));
    }
    tokens_.fail(fmt::format("unknown tag '{}'", name));
    return make(Kind::kGroup);
  }

  Statement if_statement() {
    Statement s = make(Kind::kIf);
    s.conditions.push_back(expressions_.expression_or_tuple());
    end_tag();
    s.bodies.push_back(body({"elif", "else", "endif"}));
    while (tokens_.ok() && tokens_.take_name("elif")) {
      s.conditions.push_back(expressions_.expression_or_tuple());
      end_tag();
      s.bodies.push_back(body({"elif", "else", "endif"}));
    }
    if (tokens_.take_name("else")) {
      s.conditions.push_back(nullptr);
      end_tag();
      s.bodies.push_back(body({"endif"}));
    }
    close("endif");
    return s;
  }

  // "a" or "a, b" or "(a, b)".
  void targets(Statement* s) {
    const bool parentheses = tokens_.take_operator("(");
    s->targets.push_back(tokens_.expect_name());
    while (tokens_.take_operator(",")) {
      s->unpack = true;
      if (!tokens_.at(Token::Kind::kName) || tokens_.at_name("in")) break;
      s->targets.push_back(tokens_.expect_name());
    }
    if (parentheses) tokens_.expect_operator(")");
  }

  Statement for_statement() {
    Statement s = make(Kind::kFor);
    targets(&s);
    if (!tokens_.take_name("in")) tokens_.fail("expected 'in'");
    // The condition after "if" filters the loop: it is not a conditional expression.
    s.value = expressions_.expression(false);
    if (tokens_.take_name("if")) s.condition = expressions_.expression();
    if (tokens_.at_name("recursive")) tokens_.refuse("recursive loops");
    end_tag();
    ++loops_;
    s.bodies.push_back(body({"else", "endfor"}));
    --loops_;
    if (tokens_.take_name("else")) {
      end_tag();
      s.bodies.push_back(body({"endfor"}));
    }
    close("endfor");
    return s;
  }

  Statement set_statement() {
    Statement s = make(Kind::kSet);
    targets(&s);
    if (!s.unpack && tokens_.take_operator(".")) {
      s.text = s.targets.front();
      s.attribute = tokens_.expect_name();
    }
    if (tokens_.take_operator("=")) {
      s.value = expressions_.expression_or_tuple();
      end_tag();
      return s;
    }
    s.kind = Kind::kSetBlock;
    if (s.unpack) tokens_.fail("expected '='");
    if (tokens_.take_operator("|")) s.value = expressions_.filters_only();
    end_tag();
    s.bodies.push_back(body_until("endset"));
    return s;
  }

  Statement macro_statement() {
    Statement s = make(Kind::kMacro);
    s.text = tokens_.expect_name();
    tokens_.expect_operator("(");
    while (tokens_.ok() && !tokens_.at_operator(")")) {
      s.targets.push_back(tokens_.expect_name());
      s.conditions.push_back(tokens_.take_operator("=") ? expressions_.expression() : nullptr);
      if (!tokens_.take_operator(",")) break;
    }
    tokens_.expect_operator(")");
    end_tag();
    const int loops = std::exchange(loops_, 0);
    s.bodies.push_back(body_until("endmacro"));
    loops_ = loops;
    return s;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Block>> parse(std::vector<Token> tokens) {
  return Parser(std::move(tokens)).run();
}

}  // namespace pare::jinja

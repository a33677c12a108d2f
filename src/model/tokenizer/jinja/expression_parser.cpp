#include "model/tokenizer/jinja/expression_parser.h"

#include <charconv>
#include <cstdlib>

namespace pare::jinja {
namespace {

// Counts nesting while it lives.
class Depth {
 public:
  explicit Depth(int* depth) : depth_(depth) { ++*depth_; }
  ~Depth() { --*depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int* depth_;
};

}  // namespace

ExpressionPtr ExpressionParser::make(Kind kind, ExpressionPtr a, ExpressionPtr b) {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->line = tokens_.line();
  if (a != nullptr) e->operands.push_back(std::move(a));
  if (b != nullptr) e->operands.push_back(std::move(b));
  return e;
}

// False, with an error, if expressions are nested too deeply.
bool ExpressionParser::enter() {
  if (depth_ <= kMaxDepth) return true;
  tokens_.fail(fmt::format("expressions are nested deeper than {}", kMaxDepth));
  return false;
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const Depth depth(&depth_);
  if (!enter()) return make(Kind::kLiteral);
  ExpressionPtr value = logical_or();
  if (!with_conditional) return value;
  for (int i = 0; tokens_.take_name("if"); ++i) {
    ExpressionPtr e = make(Kind::kConditional, std::move(value), logical_or());
    e->operands.push_back(tokens_.take_name("else") ? expression() : nullptr);
    value = std::move(e);
    if (i > kMaxDepth) tokens_.fail("too many conditions in a row");
  }
  return value;
}

ExpressionPtr ExpressionParser::expression_or_tuple() {
  ExpressionPtr first = expression();
  if (!tokens_.at_operator(",")) return first;
  ExpressionPtr tuple = make(Kind::kTuple, std::move(first));
  while (tokens_.take_operator(",")) {
    if (tokens_.at(Token::Kind::kBlockEnd) || tokens_.at(Token::Kind::kOutputEnd)) break;
    tuple->operands.push_back(expression());
  }
  return tuple;
}

ExpressionPtr ExpressionParser::logical_or() {
  ExpressionPtr value = logical_and();
  for (int i = 0; tokens_.take_name("or"); ++i) {
    value = make(Kind::kOr, std::move(value), logical_and());
    if (i > kMaxChain) tokens_.fail("too many operators in a row");
  }
  return value;
}

ExpressionPtr ExpressionParser::logical_and() {
  ExpressionPtr value = logical_not();
  for (int i = 0; tokens_.take_name("and"); ++i) {
    value = make(Kind::kAnd, std::move(value), logical_not());
    if (i > kMaxChain) tokens_.fail("too many operators in a row");
  }
  return value;
}

ExpressionPtr ExpressionParser::logical_not() {
  const Depth depth(&depth_);
  if (!enter()) return make(Kind::kLiteral);
  if (tokens_.take_name("not")) return make(Kind::kNot, logical_not());
  return comparison();
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr value = sum();
  std::vector<std::string> operators;
  std::vector<ExpressionPtr> others;
  while (true) {
    std::string op;
    for (const char* text : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (op.empty() && tokens_.take_operator(text)) op = text;
    }
    if (op.empty() && tokens_.take_name("in")) op = "in";
    if (op.empty() && tokens_.at_name("not") && tokens_.peek(1).text == "in") {
      tokens_.take();
      tokens_.take();
      op = "not in";
    }
    if (op.empty()) break;
    operators.push_back(op);
    others.push_back(sum());
  }
  if (operators.empty()) return value;
  ExpressionPtr e = make(Kind::kComparison, std::move(value));
  for (ExpressionPtr& other : others) e->operands.push_back(std::move(other));
  e->operators = std::move(operators);
  return e;
}

namespace {

// A left-associative chain of the given operators.
template <typename Next>
ExpressionPtr chain(TokenStream* tokens, std::initializer_list<const char*> operators, int limit,
                    Next next) {
  ExpressionPtr value = next();
  for (int i = 0;; ++i) {
    const char* found = nullptr;
    for (const char* op : operators) {
      if (tokens->at_operator(op)) found = op;
    }
    if (found == nullptr) return value;
    auto e = std::make_unique<Expression>();
    e->kind = Expression::Kind::kBinary;
    e->line = tokens->line();
    tokens->take();
    e->text = found;
    e->operands.push_back(std::move(value));
    e->operands.push_back(next());
    value = std::move(e);
    if (i > limit) tokens->fail("too many operators in a row");
  }
}

}  // namespace

ExpressionPtr ExpressionParser::sum() {
  return chain(&tokens_, {"+", "-"}, kMaxChain, [this] { return concatenation(); });
}

ExpressionPtr ExpressionParser::concatenation() {
  return chain(&tokens_, {"~"}, kMaxChain, [this] { return product(); });
}

ExpressionPtr ExpressionParser::product() {
  return chain(&tokens_, {"*", "/", "//", "%"}, kMaxChain, [this] { return power(); });
}

ExpressionPtr ExpressionParser::power() {
  return chain(&tokens_, {"**"}, kMaxChain, [this] { return unary(); });
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Depth depth(&depth_);
  if (!enter()) return make(Kind::kLiteral);
  ExpressionPtr value;
  if (tokens_.take_operator("-")) {
    value = make(Kind::kNegative, unary(false));
  } else if (tokens_.take_operator("+")) {
    value = make(Kind::kPositive, unary(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = tokens_.peek();
  ExpressionPtr e = make(Kind::kLiteral);
  switch (token.kind) {
    case Token::Kind::kName: {
      const std::string name = tokens_.take().text;
      if (name == "true" || name == "True") {
        e->literal = Value(true);
      } else if (name == "false" || name == "False") {
        e->literal = Value(false);
      } else if (name == "none" || name == "None") {
        e->literal = Value(None{});
      } else {
        e->kind = Kind::kName;
        e->text = name;
      }
      return e;
    }
    case Token::Kind::kString: {
      std::string text;
      while (tokens_.at(Token::Kind::kString)) text += tokens_.take().text;
      e->literal = Value(std::move(text));
      return e;
    }
    case Token::Kind::kInteger: {
      int64_t number = 0;
      const auto [end, error] =
          std::from_chars(token.text.data(), token.text.data() + token.text.size(), number);
      if (error != std::errc()) tokens_.fail("an integer of more than 64 bits");
      tokens_.take();
      e->literal = Value(number);
      return e;
    }
    case Token::Kind::kFloat:
      e->literal = Value(std::strtod(tokens_.take().text.c_str(), nullptr));
      return e;
    default:
      if (tokens_.at_operator("(")) return parenthesised();
      if (tokens_.at_operator("[")) return list();
      if (tokens_.at_operator("{")) return dictionary();
      tokens_.fail("expected an expression");
      return e;
  }
}

ExpressionPtr ExpressionParser::parenthesised() {
  tokens_.take();
  if (tokens_.take_operator(")")) return make(Kind::kTuple);
  ExpressionPtr value = expression();
  if (tokens_.at_operator(",")) {
    value = make(Kind::kTuple, std::move(value));
    while (tokens_.take_operator(",") && !tokens_.at_operator(")")) {
      value->operands.push_back(expression());
    }
  }
  tokens_.expect_operator(")");
  return value;
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr e = make(Kind::kList);
  tokens_.take();
  while (tokens_.ok() && !tokens_.at_operator("]")) {
    e->operands.push_back(expression());
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator("]");
  return e;
}

ExpressionPtr ExpressionParser::dictionary() {
  ExpressionPtr e = make(Kind::kDict);
  tokens_.take();
  while (tokens_.ok() && !tokens_.at_operator("}")) {
    e->operands.push_back(expression());
    tokens_.expect_operator(":");
    e->operands.push_back(expression());
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator("}");
  return e;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr value) {
  for (int i = 0; tokens_.ok(); ++i) {
    if (i > kMaxChain) tokens_.fail("too many attributes in a row");
    if (tokens_.take_operator(".")) {
      if (tokens_.at(Token::Kind::kInteger)) {
        ExpressionPtr index = primary();
        value = make(Kind::kItem, std::move(value), std::move(index));
        continue;
      }
      value = make(Kind::kAttribute, std::move(value));
      value->text = tokens_.expect_name();
    } else if (tokens_.at_operator("[")) {
      value = subscript(std::move(value));
    } else if (tokens_.at_operator("(")) {
      value = make(Kind::kCall, std::move(value));
      value->arguments = arguments();
    } else {
      break;
    }
  }
  return value;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr value) {
  tokens_.take();
  ExpressionPtr parts[3];
  int colons = 0;
  if (!tokens_.at_operator(":")) parts[0] = expression();
  while (colons < 2 && tokens_.take_operator(":")) {
    ++colons;
    if (!tokens_.at_operator(":") && !tokens_.at_operator("]")) parts[colons] = expression();
  }
  tokens_.expect_operator("]");
  if (colons == 0) return make(Kind::kItem, std::move(value), std::move(parts[0]));
  ExpressionPtr e = make(Kind::kSlice, std::move(value));
  for (ExpressionPtr& part : parts) e->operands.push_back(std::move(part));
  return e;
}

Arguments ExpressionParser::arguments() {
  Arguments out;
  tokens_.take();
  while (tokens_.ok() && !tokens_.at_operator(")")) {
    if (tokens_.at_operator("*") || tokens_.at_operator("**")) {
      tokens_.refuse("unpacked arguments (* and **)");
    }
    const bool named = tokens_.at(Token::Kind::kName) &&
                       tokens_.peek(1).kind == Token::Kind::kOperator &&
                       tokens_.peek(1).text == "=";
    if (named) {
      std::string name = tokens_.take().text;
      tokens_.take();
      out.named.emplace_back(std::move(name), expression());
    } else {
      if (!out.named.empty()) tokens_.fail("a positional argument after a named one");
      out.positional.push_back(expression());
    }
    if (!tokens_.take_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return out;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr value) {
  for (int i = 0; tokens_.ok(); ++i) {
    if (i > kMaxChain) tokens_.fail("too many filters in a row");
    if (tokens_.at_operator("|")) {
      value = filter(std::move(value));
    } else if (tokens_.at_name("is")) {
      value = test(std::move(value));
    } else if (tokens_.at_operator("(")) {
      value = make(Kind::kCall, std::move(value));
      value->arguments = arguments();
    } else {
      break;
    }
  }
  return value;
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr value) {
  tokens_.take();
  auto e = make(Kind::kFilter);
  e->operands.push_back(std::move(value));  // may be null: filters_only
  e->text = tokens_.expect_name();
  while (tokens_.take_operator(".")) e->text += "." + tokens_.expect_name();
  if (tokens_.at_operator("(")) e->arguments = arguments();
  return e;
}

ExpressionPtr ExpressionParser::filters_only() {
  auto first = make(Kind::kFilter);
  first->operands.push_back(nullptr);
  first->text = tokens_.expect_name();
  if (tokens_.at_operator("(")) first->arguments = arguments();
  return filters(std::move(first));
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value) {
  tokens_.take();
  const bool negated = tokens_.take_name("not");
  ExpressionPtr e = make(Kind::kTest, std::move(value));
  e->text = tokens_.expect_name();
  const Token& next = tokens_.peek();
  const bool name = next.kind == Token::Kind::kName && next.text != "else" && next.text != "or" &&
                    next.text != "and" && next.text != "is" && next.text != "if" &&
                    next.text != "in" && next.text != "not";
  if (tokens_.at_operator("(")) {
    e->arguments = arguments();
  } else if (name || next.kind == Token::Kind::kString || next.kind == Token::Kind::kInteger ||
             next.kind == Token::Kind::kFloat || tokens_.at_operator("[") ||
             tokens_.at_operator("{")) {
    e->arguments.positional.push_back(postfix(primary()));
  }
  return negated ? make(Kind::kNot, std::move(e)) : std::move(e);
}

}  // namespace pare::jinja

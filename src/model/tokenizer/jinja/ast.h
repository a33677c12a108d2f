// What a template is parsed into.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/tokenizer/jinja/value.h"

namespace pare::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Expression {
  enum class Kind {
    kLiteral,    // literal
    kName,       // text
    kList,       // operands
    kTuple,      // operands
    kDict,       // operands: key, value, key, value
    kAttribute,  // operands[0].text
    kItem,       // operands[0][operands[1]]
    kSlice,      // operands[0][1:2:3], each of which may be null
    kCall,       // operands[0](arguments)
    kFilter,     // operands[0] | text(arguments)
    kTest,       // operands[0] is text(arguments)
    kNot,
    kNegative,
    kPositive,
    kBinary,       // operands[0] text operands[1]: + - * / // % ** ~
    kAnd,          // two operands
    kOr,           // two operands
    kComparison,   // operands[0] operators[0] operands[1] operators[1] ...
    kConditional,  // operands[0] if operands[1] else operands[2] (which may be null)
  } kind;
  int line = 0;
  std::string text;
  Value literal;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  Arguments arguments;
};

struct Statement;
struct Block {
  std::vector<Statement> statements;
};

struct Statement {
  enum class Kind {
    kText,      // text
    kOutput,    // value
    kIf,        // branches in order: conditions[i] (null: else) with bodies[i]
    kFor,       // targets in value, if condition; bodies[0], else bodies[1]
    kSet,       // targets = value; or text.attribute = value
    kSetBlock,  // targets[0] = bodies[0], through the filters of value (operand null)
    kMacro,     // text(targets) with defaults; bodies[0]
    kFilter,    // bodies[0] through the filters of value
    kGroup,     // bodies[0]
    kBreak,
    kContinue,
  } kind;
  int line = 0;
  std::string text;
  std::string attribute;
  ExpressionPtr value;
  ExpressionPtr condition;
  std::vector<std::string> targets;
  bool unpack = false;                    // targets came as a tuple
  std::vector<ExpressionPtr> conditions;  // kIf; kMacro: defaults of targets, null: none
  std::vector<Block> bodies;
};

}  // namespace pare::jinja

// Expressions: the part of Interpreter that computes values.
#include <algorithm>
#include <cmath>
#include <ctime>

#include "model/tokenizer/jinja/interpreter.h"
#include "model/tokenizer/jinja/text.h"

namespace pare::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kMaxEvaluationDepth = 1000;
constexpr const char* kGlobals[] = {"range", "namespace", "dict", "raise_exception",
                                    "strftime_now"};

}  // namespace

Value Interpreter::evaluate(const Expression* e) {
  if (e == nullptr) return pending_;  // the missing operand of filters_only
  if (!step()) return Value();
  if (++depth_ > kMaxEvaluationDepth) fail("expressions are evaluated too deeply");
  Value value = ok() ? evaluate_kind(*e) : Value();
  --depth_;
  return value;
}

Value Interpreter::evaluate_kind(const Expression& e) {
  const auto operand = [&](size_t i) { return evaluate(e.operands[i].get()); };
  switch (e.kind) {
    case Kind::kLiteral:
      return e.literal;
    case Kind::kName:
      return lookup(e.text);
    case Kind::kList:
    case Kind::kTuple: {
      std::vector<Value> items;
      for (size_t i = 0; i < e.operands.size(); ++i) items.push_back(operand(i));
      return list(std::move(items), e.kind == Kind::kTuple);
    }
    case Kind::kDict: {
      std::vector<std::pair<Value, Value>> items;
      for (size_t i = 0; i + 1 < e.operands.size(); i += 2) {
        Value key = operand(i);
        items.emplace_back(std::move(key), operand(i + 1));
      }
      return dict(std::move(items));
    }
    case Kind::kAttribute:
      return attribute(operand(0), e.text);
    case Kind::kItem: {
      const Value object = operand(0);
      return item(object, operand(1));
    }
    case Kind::kSlice:
      return slice(e);
    case Kind::kCall: {
      const Value callee = operand(0);
      const CallArguments arguments = evaluate(e.arguments);
      line_ = e.line;
      return ok() ? call(callee, arguments) : Value();
    }
    case Kind::kFilter: {
      const Value value = operand(0);
      const CallArguments arguments = evaluate(e.arguments);
      line_ = e.line;
      return ok() ? apply_filter(this, e.text, value, arguments) : Value();
    }
    case Kind::kTest: {
      const Value value = operand(0);
      const CallArguments arguments = evaluate(e.arguments);
      line_ = e.line;
      return ok() ? Value(apply_test(this, e.text, value, arguments)) : Value();
    }
    case Kind::kNot:
      return Value(!operand(0).truthy());
    case Kind::kNegative:
      return negative(operand(0));
    case Kind::kPositive: {
      Value value = operand(0);
      return value.is_number() ? value : fail("'+' before {}", value.type_name());
    }
    case Kind::kBinary: {
      const Value a = operand(0);
      const Value b = operand(1);
      line_ = e.line;
      return ok() ? binary(e.text, a, b) : Value();
    }
    case Kind::kAnd: {
      Value a = operand(0);
      return a.truthy() ? operand(1) : a;
    }
    case Kind::kOr: {
      Value a = operand(0);
      return a.truthy() ? a : operand(1);
    }
    case Kind::kComparison:
      return comparison(e);
    case Kind::kConditional:
      if (operand(1).truthy()) return operand(0);
      return e.operands[2] == nullptr ? Value() : operand(2);
  }
  return Value();
}

Value Interpreter::lookup(const std::string& name) {
  const auto in = [&](const Scope& scope) -> const Value* {
    for (const auto& [key, value] : scope) {
      if (key == name) return &value;
    }
    return nullptr;
  };
  for (size_t i = scopes_.size(); i-- > visible_from_;) {
    if (const Value* value = in(scopes_[i])) return *value;
  }
  if (const Value* value = in(scopes_[0])) return *value;
  for (const char* global : kGlobals) {
    if (name != global) continue;
    auto function = std::make_shared<Function>();
    function->name = name;
    return Value(std::shared_ptr<const Function>(std::move(function)));
  }
  return Value(Undefined{name});
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  if (!ok()) return Value();
  if (const auto* undefined = std::get_if<Undefined>(&object.variant())) {
    return fail("'{}' is undefined, so it has no attribute '{}'", undefined->name, name);
  }
  if (const Namespace* space = object.name_space()) {
    for (const auto& [key, value] : space->items) {
      if (key == name) return value;
    }
  }
  if (has_method(object, name)) {
    auto function = std::make_shared<Function>();
    function->name = name;
    function->self = object;
    return Value(std::shared_ptr<const Function>(std::move(function)));
  }
  if (const Dict* d = object.dict()) {
    if (const Value* value = find(*d, Value(name))) return *value;
  }
  return Value(Undefined{name});
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (!ok()) return Value();
  if (const auto* undefined = std::get_if<Undefined>(&object.variant())) {
    return fail("'{}' is undefined, so it has no items", undefined->name);
  }
  if (const Dict* d = object.dict()) {
    const Value* value = find(*d, key);
    return value != nullptr ? *value : Value(Undefined{to_text(key)});
  }
  if (key.is_int() || key.is_bool()) {
    int64_t i = key.as_int();
    if (const List* l = object.list()) {
      if (i < 0) i += static_cast<int64_t>(l->items.size());
      if (i >= 0 && i < static_cast<int64_t>(l->items.size())) {
        return l->items[static_cast<size_t>(i)];
      }
      return Value(Undefined{to_text(key)});
    }
    if (const std::string* s = object.string()) {
      const std::vector<std::string_view> characters = split_characters(*s);
      if (!charge(characters.size() * sizeof(std::string_view))) return Value();
      if (i < 0) i += static_cast<int64_t>(characters.size());
      if (i >= 0 && i < static_cast<int64_t>(characters.size())) {
        return text(std::string(characters[static_cast<size_t>(i)]));
      }
      return Value(Undefined{to_text(key)});
    }
  }
  if (const std::string* name = key.string()) return attribute(object, *name);
  return Value(Undefined{to_text(key)});
}

Value Interpreter::slice(const Expression& e) {
  const Value object = evaluate(e.operands[0].get());
  int64_t bounds[3] = {0, 0, 1};
  bool given[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (e.operands[i + 1] == nullptr) continue;
    const Value value = evaluate(e.operands[i + 1].get());
    if (value.is_none()) continue;
    if (!value.is_int()) return fail("a slice bound of type {}", value.type_name());
    bounds[i] = value.as_int();
    given[i] = true;
  }
  const int64_t by = bounds[2];
  if (by == 0) return fail("a slice step of 0");
  const std::string* s = object.string();
  const List* l = object.list();
  if (!ok() || (s == nullptr && l == nullptr)) {
    return fail("a value of type {} cannot be sliced", object.type_name());
  }
  std::vector<std::string_view> characters;
  if (s != nullptr) characters = split_characters(*s);
  const auto n = static_cast<int64_t>(s != nullptr ? characters.size() : l->items.size());
  if (!charge(static_cast<size_t>(n) * sizeof(std::string_view))) return Value();
  // Python's rules: negative bounds count from the end, all are clamped.
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? n : n - 1;
  const auto clamp = [&](size_t i, int64_t fallback) {
    if (!given[i]) return fallback;
    const int64_t bound = bounds[i] < 0 ? bounds[i] + n : bounds[i];
    return std::clamp(bound, low, high);
  };
  const int64_t start = clamp(0, by > 0 ? low : high);
  const int64_t stop = clamp(1, by > 0 ? high : low);
  std::string out;
  std::vector<Value> items;
  for (int64_t i = start; by > 0 ? i < stop : i > stop;) {
    if (s != nullptr) {
      out += characters[static_cast<size_t>(i)];
    } else {
      items.push_back(l->items[static_cast<size_t>(i)]);
    }
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  return s != nullptr ? text(std::move(out)) : list(std::move(items), l->tuple);
}

Value Interpreter::negative(const Value& value) {
  if (value.is_float()) return Value(-value.as_double());
  if (!value.is_number()) return fail("'-' before {}", value.type_name());
  return integer_arithmetic("-", 0, value.as_int());
}

Value Interpreter::binary(const std::string& op, const Value& a, const Value& b) {
  if (op == "~") {
    std::string left = to_text(a);
    return text(left + to_text(b));
  }
  for (const Value* v : {&a, &b}) {
    if (const auto* undefined = std::get_if<Undefined>(&v->variant())) {
      return fail("'{}' is undefined, in an expression with '{}'", undefined->name, op);
    }
  }
  if (a.is_number() && b.is_number()) return arithmetic(op, a, b);
  if (op == "+" && a.string() != nullptr && b.string() != nullptr) {
    return text(*a.string() + *b.string());
  }
  if (op == "+" && a.list() != nullptr && b.list() != nullptr &&
      a.list()->tuple == b.list()->tuple) {
    std::vector<Value> items = a.list()->items;
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return list(std::move(items), a.list()->tuple);
  }
  if (op == "*" && (a.is_int() || b.is_int())) {
    const Value& repeated = a.is_int() ? b : a;
    const auto times = static_cast<size_t>(std::max<int64_t>(0, (a.is_int() ? a : b).as_int()));
    const size_t size = repeated.string() != nullptr ? repeated.string()->size()
                        : repeated.list() != nullptr ? repeated.list()->items.size() * sizeof(Value)
                                                     : 0;
    if (size > 0 && times > limits_.memory / size) return fail("a value repeated {} times", times);
    if (const std::string* s = repeated.string()) {
      std::string out;
      for (size_t i = 0; i < times && !s->empty(); ++i) out += *s;
      return text(std::move(out));
    }
    if (const List* l = repeated.list()) {
      std::vector<Value> items;
      for (size_t i = 0; i < times && !l->items.empty(); ++i) {
        items.insert(items.end(), l->items.begin(), l->items.end());
      }
      return list(std::move(items), l->tuple);
    }
  }
  return fail("'{}' between {} and {}", op, a.type_name(), b.type_name());
}

Value Interpreter::arithmetic(const std::string& op, const Value& a, const Value& b) {
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b.as_double() == 0.0) return fail("division by zero");
  const bool whole = !a.is_float() && !b.is_float();
  if (whole && op != "/" && !(op == "**" && b.as_int() < 0)) {
    return integer_arithmetic(op, a.as_int(), b.as_int());
  }
  const double x = a.as_double();
  const double y = b.as_double();
  if (op == "+") return Value(x + y);
  if (op == "-") return Value(x - y);
  if (op == "*") return Value(x * y);
  if (op == "/") return Value(x / y);
  if (op == "//") return Value(std::floor(x / y));
  if (op == "**") return Value(std::pow(x, y));
  const double rest = std::fmod(x, y);  // takes the sign of y in Python
  return Value(rest != 0.0 && (rest < 0.0) != (y < 0.0) ? rest + y : rest);
}

Value Interpreter::integer_arithmetic(const std::string& op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &out);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &out);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &out);
  } else if (op == "**") {
    out = 1;
    // Beyond 64 steps only bases of -1, 0 and 1 do not overflow; their parity decides.
    if (b > 64 && a >= -1 && a <= 1) b = 2 + b % 2;
    for (int64_t i = 0; i < b && !overflow; ++i) overflow = __builtin_mul_overflow(out, a, &out);
  } else if (b == -1) {  // INT64_MIN / -1 is the one division that overflows
    overflow = op == "//" && __builtin_sub_overflow(int64_t{0}, a, &out);
  } else {
    const int64_t rest = a % b;
    const bool adjust = rest != 0 && (rest < 0) != (b < 0);  // Python rounds down
    out = op == "//" ? a / b - (adjust ? 1 : 0) : rest + (adjust ? b : 0);
  }
  return overflow ? fail("an integer of more than 64 bits") : Value(out);
}

Value Interpreter::comparison(const Expression& e) {
  Value left = evaluate(e.operands[0].get());
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(e.operands[i + 1].get());
    if (!ok() || !compare_once(e.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

bool Interpreter::compare_once(const std::string& op, const Value& a, const Value& b) {
  if (op == "==") return equal(a, b);
  if (op == "!=") return !equal(a, b);
  if (op == "in") return contains(b, a).truthy();
  if (op == "not in") return !contains(b, a).truthy();
  int order = 0;
  if (!compare(a, b, &order)) {
    fail("'{}' between {} and {}", op, a.type_name(), b.type_name());
    return false;
  }
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  return op == ">" ? order > 0 : order >= 0;
}

CallArguments Interpreter::evaluate(const Arguments& arguments) {
  CallArguments out;
  for (const ExpressionPtr& e : arguments.positional) out.positional.push_back(evaluate(e.get()));
  for (const auto& [name, e] : arguments.named) out.named.emplace_back(name, evaluate(e.get()));
  return out;
}

Value Interpreter::call(const Value& callee, const CallArguments& arguments) {
  const Function* function = callee.function();
  if (function == nullptr) {
    const auto* undefined = std::get_if<Undefined>(&callee.variant());
    if (undefined != nullptr)
      return fail("'{}' is undefined and cannot be called", undefined->name);
    return fail("a value of type {} cannot be called", callee.type_name());
  }
  if (function->macro != nullptr) return call_macro(*function->macro, arguments);
  if (!function->self.is_undefined()) {
    return call_method(this, function->self, function->name, arguments);
  }
  return call_global(function->name, arguments);
}

Value Interpreter::call_macro(const Statement& macro, const CallArguments& arguments) {
  if (call_depth_ >= limits_.call_depth) return fail("macros are called too deeply");
  if (arguments.positional.size() > macro.targets.size()) {
    return fail("macro '{}' takes {} arguments, not {}", macro.text, macro.targets.size(),
                arguments.positional.size());
  }
  ++call_depth_;
  const size_t outer_visible = std::exchange(visible_from_, scopes_.size());
  scopes_.emplace_back();
  for (size_t i = 0; i < macro.targets.size(); ++i) {
    const Value* given = arguments.find(i, macro.targets[i]);
    if (given != nullptr) {
      assign(macro.targets[i], *given);
    } else {
      assign(macro.targets[i], macro.conditions[i] == nullptr
                                   ? Value(Undefined{macro.targets[i]})
                                   : evaluate(macro.conditions[i].get()));
    }
  }
  Value out = text(render_to_text(macro.bodies[0]));
  scopes_.pop_back();
  visible_from_ = outer_visible;
  --call_depth_;
  return out;
}

Value Interpreter::call_global(const std::string& name, const CallArguments& arguments) {
  const Value* first = arguments.find(0, "");
  if (name == "raise_exception") {
    return fail(StatusCode::kInvalidArgument, first == nullptr ? "error" : to_text(*first));
  }
  if (name == "strftime_now") {
    const std::string format = first == nullptr ? "" : to_text(*first);
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char buffer[256];
    return text(std::string(buffer, std::strftime(buffer, sizeof(buffer), format.c_str(), &local)));
  }
  if (name == "range") {
    int64_t bounds[3] = {0, 0, 1};
    const auto& given = arguments.positional;
    if (given.empty() || given.size() > 3) return fail("range() of {} arguments", given.size());
    for (size_t i = 0; i < given.size(); ++i) {
      if (!given[i].is_int()) return fail("range() of {}", given[i].type_name());
      bounds[given.size() == 1 ? 1 : i] = given[i].as_int();
    }
    constexpr size_t kMaxRange = 100'000;  // the sandbox's limit
    if (bounds[2] == 0) return fail("range() with a step of 0");
    std::vector<Value> items;
    for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1];) {
      if (items.size() >= kMaxRange) return fail("range() of more than {}", kMaxRange);
      items.emplace_back(i);
      if (__builtin_add_overflow(i, bounds[2], &i)) break;
    }
    return list(std::move(items));
  }
  std::vector<std::pair<Value, Value>> items;
  if (first != nullptr && first->dict() != nullptr) items = first->dict()->items;
  for (const auto& [key, value] : arguments.named) items.emplace_back(Value(key), value);
  const Value made = dict(std::move(items));
  if (name == "dict" || !ok()) return made;
  auto space = std::make_shared<Namespace>();
  for (const auto& [key, value] : made.dict()->items) {
    space->items.emplace_back(to_text(key), value);
  }
  return Value(std::move(space));
}

Value Interpreter::apply_filters(const Expression* filters, const Value& input) {
  const Value outer = std::exchange(pending_, input);
  Value out = evaluate(filters);
  pending_ = outer;
  return out;
}

}  // namespace pare::jinja

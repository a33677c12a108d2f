#include "model/tokenizer/jinja/interpreter.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/tokenizer/jinja/lexer.h"
#include "model/tokenizer/jinja/parser.h"
#include "model/tokenizer/utf8.h"

namespace pare::jinja {

const Value* CallArguments::find(size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Result<Template> Template::parse(std::string_view source) {
  std::string text = repair_utf8(source);
  // As Jinja does: line ends are made uniform, and the last one is dropped.
  std::string uniform;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      uniform += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      uniform += text[i];
    }
  }
  if (uniform.ends_with('\n')) uniform.pop_back();
  PARE_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(uniform));
  PARE_ASSIGN_OR_RETURN(std::shared_ptr<const Block> body, jinja::parse(std::move(tokens)));
  return Template(std::move(body));
}

Result<std::string> Template::render(const nlohmann::ordered_json& variables,
                                     const Limits& limits) const {
  return Interpreter(variables, limits).render(*body_);
}

Interpreter::Interpreter(const nlohmann::ordered_json& variables, const Limits& limits)
    : limits_(limits) {
  scopes_.emplace_back();
  if (!variables.is_object()) return;
  for (const auto& [name, value] : variables.items()) assign(name, from_json(value));
}

Result<std::string> Interpreter::render(const Block& block) {
  std::string out = render_to_text(block);
  if (!status_.ok()) return status_;
  return out;
}

Value Interpreter::fail(StatusCode code, const std::string& message) {
  if (status_.ok()) status_ = Status(code, fmt::format("template line {}: {}", line_, message));
  return Value();
}

bool Interpreter::step() {
  if (status_.ok() && ++steps_ > limits_.steps) fail("more than {} steps", limits_.steps);
  return status_.ok();
}

bool Interpreter::charge(size_t bytes) {
  if (bytes > limits_.memory - std::min(memory_, limits_.memory)) {
    fail("its values take more than {} bytes", limits_.memory);
  }
  memory_ += std::min(bytes, limits_.memory);
  return status_.ok();
}

Value Interpreter::text(std::string value) {
  return charge(sizeof(Value) + value.size()) ? Value(std::move(value)) : Value();
}

namespace {
constexpr int kMaxValueDepth = 100;
}  // namespace

Value Interpreter::list(std::vector<Value> items, bool tuple) {
  if (!charge((items.size() + 2) * sizeof(Value))) return Value();
  auto out = std::make_shared<List>();
  out->tuple = tuple;
  for (const Value& value : items) {
    if (value.name_space() != nullptr) return fail("a namespace cannot be put into a list");
    out->depth = std::max(out->depth, 1 + value.depth());
  }
  if (out->depth > kMaxValueDepth) return fail("values nested deeper than {}", kMaxValueDepth);
  out->items = std::move(items);
  return Value(std::shared_ptr<const List>(std::move(out)));
}

Value Interpreter::dict(std::vector<std::pair<Value, Value>> items) {
  if (!charge((2 * items.size() + 2) * sizeof(Value))) return Value();
  auto out = std::make_shared<Dict>();
  for (auto& [key, value] : items) {
    if (!step()) return Value();
    if (value.name_space() != nullptr) return fail("a namespace cannot be put into a dictionary");
    if (key.list() != nullptr || key.dict() != nullptr) return fail("a list as dictionary key");
    out->depth = std::max(out->depth, 1 + value.depth());
    const auto same = std::find_if(out->items.begin(), out->items.end(),
                                   [&key = key](const auto& i) { return equal(i.first, key); });
    if (same != out->items.end()) {
      same->second = std::move(value);
    } else {
      out->items.emplace_back(std::move(key), std::move(value));
    }
  }
  if (out->depth > kMaxValueDepth) return fail("values nested deeper than {}", kMaxValueDepth);
  return Value(std::shared_ptr<const Dict>(std::move(out)));
}

void Interpreter::write(std::string_view text) {
  if (output_->size() + text.size() > limits_.output) {
    fail("its output is more than {} bytes", limits_.output);
  } else {
    *output_ += text;
  }
}

std::string Interpreter::render_to_text(const Block& block) {
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  execute(block);
  output_ = outer;
  return text;
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  for (const Statement& statement : block.statements) {
    if (!step()) break;
    line_ = statement.line;
    const Flow flow = execute(statement);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Statement& s) {
  switch (s.kind) {
    case Statement::Kind::kText:
      write(s.text);
      break;
    case Statement::Kind::kOutput:
      write(to_text(evaluate(s.value.get())));
      break;
    case Statement::Kind::kIf:
      for (size_t i = 0; i < s.conditions.size(); ++i) {
        const bool taken = s.conditions[i] == nullptr || evaluate(s.conditions[i].get()).truthy();
        if (!ok()) break;
        if (taken) return execute(s.bodies[i]);
      }
      break;
    case Statement::Kind::kFor:
      return execute_for(s);
    case Statement::Kind::kSet: {
      Value value = evaluate(s.value.get());
      if (s.attribute.empty()) {
        bind(s, value);
      } else {
        set_attribute(s, std::move(value));
      }
      break;
    }
    case Statement::Kind::kSetBlock: {
      scopes_.emplace_back();
      Value value = text(render_to_text(s.bodies[0]));
      scopes_.pop_back();
      if (s.value != nullptr) value = apply_filters(s.value.get(), value);
      if (s.attribute.empty()) {
        assign(s.targets[0], std::move(value));
      } else {
        set_attribute(s, std::move(value));
      }
      break;
    }
    case Statement::Kind::kMacro: {
      auto function = std::make_shared<Function>();
      function->name = s.text;
      function->macro = &s;
      assign(s.text, Value(std::shared_ptr<const Function>(std::move(function))));
      break;
    }
    case Statement::Kind::kFilter: {
      scopes_.emplace_back();
      const Value inner = text(render_to_text(s.bodies[0]));
      scopes_.pop_back();
      write(to_text(apply_filters(s.value.get(), inner)));
      break;
    }
    case Statement::Kind::kGroup:
      return execute(s.bodies[0]);
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

namespace {

// The variable `loop` of item i.
Value loop_variable(const std::vector<Value>& items, size_t i) {
  const auto n = static_cast<int64_t>(items.size());
  const auto at = static_cast<int64_t>(i);
  auto loop = std::make_shared<Namespace>();
  loop->writable = false;
  loop->items = {{"index", Value(at + 1)},
                 {"index0", Value(at)},
                 {"revindex", Value(n - at)},
                 {"revindex0", Value(n - at - 1)},
                 {"first", Value(i == 0)},
                 {"last", Value(at + 1 == n)},
                 {"length", Value(n)},
                 {"depth", Value(int64_t{1})},  // more only in recursive loops
                 {"depth0", Value(int64_t{0})},
                 {"previtem", i == 0 ? Value() : items[i - 1]},
                 {"nextitem", i + 1 == items.size() ? Value() : items[i + 1]}};
  return Value(std::move(loop));
}

}  // namespace

Interpreter::Flow Interpreter::execute_for(const Statement& s) {
  std::vector<Value> items = iterate(evaluate(s.value.get()));
  if (s.condition != nullptr) {
    scopes_.emplace_back();
    std::vector<Value> kept;
    for (Value& value : items) {
      if (!step()) break;
      bind(s, value);
      if (evaluate(s.condition.get()).truthy()) kept.push_back(std::move(value));
    }
    scopes_.pop_back();
    items = std::move(kept);
  }
  if (!ok()) return Flow::kNormal;
  if (items.empty()) return s.bodies.size() > 1 ? execute(s.bodies[1]) : Flow::kNormal;
  for (size_t i = 0; i < items.size() && step(); ++i) {
    scopes_.emplace_back();
    scopes_.back().emplace_back("loop", loop_variable(items, i));
    bind(s, items[i]);
    const Flow flow = execute(s.bodies[0]);
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

void Interpreter::bind(const Statement& s, const Value& value) {
  if (!s.unpack) {
    assign(s.targets[0], value);
    return;
  }
  const std::vector<Value> parts = iterate(value);
  if (!ok()) return;
  if (parts.size() != s.targets.size()) {
    fail("{} values for {} names", parts.size(), s.targets.size());
    return;
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(s.targets[i], parts[i]);
}

void Interpreter::assign(const std::string& name, Value value) {
  Scope& scope = scopes_.back();
  const auto it =
      std::find_if(scope.begin(), scope.end(), [&](const auto& v) { return v.first == name; });
  if (it != scope.end()) {
    it->second = std::move(value);
  } else if (charge(sizeof(Value) + name.size())) {
    scope.emplace_back(name, std::move(value));
  }
}

void Interpreter::set_attribute(const Statement& s, Value value) {
  const Value target = lookup(s.text);
  Namespace* space = target.name_space();
  if (space == nullptr || !space->writable) {
    fail("'{}' is no namespace whose attribute could be set", s.text);
    return;
  }
  if (value.name_space() != nullptr) {
    fail("a namespace cannot be put into a namespace");
    return;
  }
  for (auto& [name, old] : space->items) {
    if (name == s.attribute) {
      old = std::move(value);
      return;
    }
  }
  if (charge(sizeof(Value) + s.attribute.size())) {
    space->items.emplace_back(s.attribute, std::move(value));
  }
}

std::vector<Value> Interpreter::iterate(const Value& value) {
  if (const List* l = value.list()) {
    charge(l->items.size() * sizeof(Value));
    return l->items;
  }
  std::vector<Value> out;
  if (const Dict* d = value.dict()) {
    for (const auto& [key, unused] : d->items) out.push_back(key);
  } else if (const std::string* s = value.string()) {
    for (size_t i = 0; i < s->size() && ok();) {
      const CodePoint c = decode_utf8(*s, i);
      out.push_back(text(s->substr(i, c.size)));
      i += c.size;
    }
  } else if (!value.is_undefined()) {
    fail("a value of type {} cannot be iterated", value.type_name());
  }
  charge(out.size() * sizeof(Value));
  return out;
}

Value Interpreter::contains(const Value& container, const Value& value) {
  if (container.is_undefined()) return Value(false);
  if (const List* l = container.list()) {
    return Value(std::any_of(l->items.begin(), l->items.end(),
                             [&](const Value& item) { return step() && equal(item, value); }));
  }
  if (const Dict* d = container.dict()) return Value(find(*d, value) != nullptr);
  if (const std::string* s = container.string()) {
    if (const std::string* part = value.string()) {
      return Value(s->find(*part) != std::string::npos);
    }
    return fail("'in <string>' needs a string, not {}", value.type_name());
  }
  return fail("'in' does not work on {}", container.type_name());
}

}  // namespace pare::jinja

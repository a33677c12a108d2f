// Runs a parsed template. One object renders once, on one thread.
//
// Errors are sticky: the first one is kept, everything that is evaluated afterwards gives undefined
// and every loop ends. So code here may go on after a failure, but must not rely on results.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/jinja.h"
#include "model/tokenizer/jinja/ast.h"

namespace pare::jinja {

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at this position or of this name; null if it was not given.
  const Value* find(size_t position, std::string_view name) const;
};

class Interpreter {
 public:
  Interpreter(const nlohmann::ordered_json& variables, const Limits& limits);

  Result<std::string> render(const Block& block);

  // For filters, tests and methods.
  template <typename... Args>
  Value fail(fmt::format_string<Args...> format, Args&&... args) {
    return fail(StatusCode::kCorrupt, fmt::format(format, std::forward<Args>(args)...));
  }
  Value fail(StatusCode code, const std::string& message);
  bool ok() const { return status_.ok(); }
  bool step();                // counts one step; false if there are none left, or after an error
  bool charge(size_t bytes);  // of a value about to be made; false as above
  // Values whose size counts.
  Value text(std::string value);
  Value list(std::vector<Value> items, bool tuple = false);
  Value dict(std::vector<std::pair<Value, Value>> items);

  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& callee, const CallArguments& arguments);
  // What a for loop goes through; an error for what cannot be iterated.
  std::vector<Value> iterate(const Value& value);
  Value contains(const Value& container, const Value& value);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  using Scope = std::vector<std::pair<std::string, Value>>;

  Value evaluate(const Expression* e);
  Value evaluate_kind(const Expression& e);
  Value lookup(const std::string& name);
  Value binary(const std::string& op, const Value& a, const Value& b);
  Value arithmetic(const std::string& op, const Value& a, const Value& b);
  Value integer_arithmetic(const std::string& op, int64_t a, int64_t b);
  Value comparison(const Expression& e);
  bool compare_once(const std::string& op, const Value& a, const Value& b);
  Value slice(const Expression& e);
  Value negative(const Value& value);
  CallArguments evaluate(const Arguments& arguments);
  Value call_global(const std::string& name, const CallArguments& arguments);
  Value call_macro(const Statement& macro, const CallArguments& arguments);
  // Filters that were parsed without what they are applied to.
  Value apply_filters(const Expression* filters, const Value& input);

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow execute_for(const Statement& statement);
  void bind(const Statement& statement, const Value& value);
  void assign(const std::string& name, Value value);
  void set_attribute(const Statement& statement, Value value);
  std::string render_to_text(const Block& block);
  void write(std::string_view text);

  Limits limits_;
  Status status_;
  uint64_t steps_ = 0;
  size_t memory_ = 0;
  int depth_ = 0;       // of evaluation
  int call_depth_ = 0;  // of macros
  int line_ = 0;
  Value pending_;  // what filters without operand are applied to
  std::vector<Scope> scopes_;
  size_t visible_from_ = 1;  // scopes before it, except the first, are hidden by a macro call
  std::string* output_ = nullptr;
};

// filters.cpp, tests.cpp, methods.cpp
Value apply_filter(Interpreter* in, const std::string& name, const Value& value,
                   const CallArguments& arguments);
bool apply_test(Interpreter* in, const std::string& name, const Value& value,
                const CallArguments& arguments);
bool has_method(const Value& self, const std::string& name);
Value call_method(Interpreter* in, const Value& self, const std::string& name,
                  const CallArguments& arguments);

}  // namespace pare::jinja

// Values of Jinja expressions: Python's, as far as templates see them. Cheap to copy; lists and
// dictionaries never change once made, namespaces do.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pare::jinja {

class Value;
struct Statement;

struct Undefined {
  std::string name;  // for errors
};
struct None {};
struct List {
  std::vector<Value> items;
  bool tuple = false;
  int depth = 1;  // nesting, itself included
};
struct Dict {
  std::vector<std::pair<Value, Value>> items;  // keys are unique
  int depth = 1;
};
struct Namespace {
  bool writable = true;  // false: a loop's variable
  std::vector<std::pair<std::string, Value>> items;
};
// Something that can be called: a macro, a global function, or a method of `self`.
struct Function;

class Value {
 public:
  using Variant =
      std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                   std::shared_ptr<Namespace>, std::shared_ptr<const Function>>;

  Value() : v_(Undefined{}) {}
  explicit Value(Undefined u) : v_(std::move(u)) {}
  explicit Value(None n) : v_(n) {}
  explicit Value(bool b) : v_(b) {}
  explicit Value(int64_t i) : v_(i) {}
  explicit Value(double d) : v_(d) {}
  explicit Value(std::string s) : v_(std::make_shared<const std::string>(std::move(s))) {}
  explicit Value(const char* s) : Value(std::string(s)) {}
  explicit Value(std::shared_ptr<const List> l) : v_(std::move(l)) {}
  explicit Value(std::shared_ptr<const Dict> d) : v_(std::move(d)) {}
  explicit Value(std::shared_ptr<Namespace> n) : v_(std::move(n)) {}
  explicit Value(std::shared_ptr<const Function> f) : v_(std::move(f)) {}

  const Variant& variant() const { return v_; }
  bool is_undefined() const { return std::holds_alternative<Undefined>(v_); }
  bool is_none() const { return std::holds_alternative<None>(v_); }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_int() const { return std::holds_alternative<int64_t>(v_); }
  bool is_float() const { return std::holds_alternative<double>(v_); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  const std::string* string() const { return get<const std::string>(); }
  const List* list() const { return get<const List>(); }
  const Dict* dict() const { return get<const Dict>(); }
  Namespace* name_space() const { return get<Namespace>(); }
  const Function* function() const { return get<const Function>(); }

  // Truth values count as 0 and 1. Only for numbers.
  int64_t as_int() const;
  double as_double() const;

  bool truthy() const;
  int depth() const;              // nesting of lists and dictionaries; 0 for others
  const char* type_name() const;  // Python's: "str", "NoneType"

 private:
  template <typename T>
  T* get() const {
    const auto* p = std::get_if<std::shared_ptr<T>>(&v_);
    return p == nullptr ? nullptr : p->get();
  }
  Variant v_;
};

struct Function {
  std::string name;
  Value self;                        // methods: of what; else undefined
  const Statement* macro = nullptr;  // a macro's definition
};

bool equal(const Value& a, const Value& b);
// -1, 0, 1; false if the two cannot be ordered.
bool compare(const Value& a, const Value& b, int* order);
const Value* find(const Dict& dict, const Value& key);  // null: absent

std::string to_text(const Value& value);  // Python's str()
std::string to_repr(const Value& value);  // Python's repr()
struct JsonStyle {
  int indent = -1;  // -1: on one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false, ensure_ascii = false;
};
// Python's json.dumps. False: something in it has no JSON form.
bool to_json(const Value& value, const JsonStyle& style, std::string* out);

Value from_json(const nlohmann::ordered_json& json);

}  // namespace pare::jinja

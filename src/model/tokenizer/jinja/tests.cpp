// What can stand after "is".
#include <algorithm>

#include "model/tokenizer/jinja/interpreter.h"
#include "model/tokenizer/jinja/text.h"

namespace pare::jinja {
namespace {

// 1: yes, 0: no, -1: no such test. Tests of the value alone.
int test_alone(const std::string& name, const Value& v) {
  if (name == "defined") return !v.is_undefined();
  if (name == "undefined") return v.is_undefined();
  if (name == "none") return v.is_none();
  if (name == "string") return v.string() != nullptr;
  if (name == "mapping") return v.dict() != nullptr;
  if (name == "sequence") {
    return v.string() != nullptr || v.list() != nullptr || v.dict() != nullptr;
  }
  if (name == "iterable") {
    return v.string() != nullptr || v.list() != nullptr || v.dict() != nullptr || v.is_undefined();
  }
  if (name == "number") return v.is_number();
  if (name == "integer") return v.is_int();
  if (name == "float") return v.is_float();
  if (name == "boolean") return v.is_bool();
  if (name == "true") return v.is_bool() && v.truthy();
  if (name == "false") return v.is_bool() && !v.truthy();
  if (name == "callable") return v.function() != nullptr;
  return -1;
}

}  // namespace

bool apply_test(Interpreter* in, const std::string& name, const Value& value,
                const CallArguments& arguments) {
  if (const int result = test_alone(name, value); result >= 0) return result != 0;
  if (name == "lower" || name == "upper") {
    const std::string text = to_text(value);
    return name == "lower" ? text == to_lower(text) && text != to_upper(text)
                           : text == to_upper(text) && text != to_lower(text);
  }
  if (name == "odd" || name == "even") {
    if (!value.is_int()) {
      in->fail("'is {}' needs an integer, not {}", name, value.type_name());
      return false;
    }
    return (value.as_int() % 2 != 0) == (name == "odd");
  }
  const Value* other = arguments.find(0, "other");
  if (other == nullptr) {
    in->fail("no test is called '{}', or it needs an argument", name);
    return false;
  }
  if (name == "equalto" || name == "eq" || name == "sameas") return equal(value, *other);
  if (name == "ne") return !equal(value, *other);
  if (name == "in") return in->contains(*other, value).truthy();
  if (name == "divisibleby") {
    if (!value.is_int() || !other->is_int() || other->as_int() == 0) {
      in->fail("'is divisibleby' of {} by {}", value.type_name(), other->type_name());
      return false;
    }
    return other->as_int() == -1 || value.as_int() % other->as_int() == 0;
  }
  int order = 0;
  const bool less = name == "lt" || name == "lessthan";
  const bool greater = name == "gt" || name == "greaterthan";
  if (!less && !greater && name != "le" && name != "ge") {
    in->fail("no test is called '{}'", name);
    return false;
  }
  if (!compare(value, *other, &order)) {
    in->fail("'is {}' between {} and {}", name, value.type_name(), other->type_name());
    return false;
  }
  if (less) return order < 0;
  if (greater) return order > 0;
  return name == "le" ? order <= 0 : order >= 0;
}

}  // namespace pare::jinja

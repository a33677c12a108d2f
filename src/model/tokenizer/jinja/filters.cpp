// What can stand after "|".
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <unordered_map>

#include "model/tokenizer/jinja/interpreter.h"
#include "model/tokenizer/jinja/text.h"

namespace pare::jinja {
namespace {

// What a filter works on.
struct Call {
  Interpreter* in;
  const std::string& name;
  const Value& value;
  const CallArguments& arguments;

  const Value* argument(size_t position, std::string_view key) const {
    return arguments.find(position, key);
  }
  std::string text_argument(size_t position, std::string_view key, const char* fallback) const {
    const Value* v = argument(position, key);
    return v == nullptr ? fallback : to_text(*v);
  }
  bool flag(size_t position, std::string_view key, bool fallback) const {
    const Value* v = argument(position, key);
    return v == nullptr ? fallback : v->truthy();
  }
  int64_t number(size_t position, std::string_view key, int64_t fallback) const {
    const Value* v = argument(position, key);
    return v == nullptr || !v->is_number() ? fallback : v->as_int();
  }
};

// "a.b.0" of a value, as map(attribute=...) and its like read it.
Value path_of(Interpreter* in, Value value, const std::string& path) {
  for (const std::string& part : split(path, ".", -1)) {
    if (value.is_undefined()) return value;
    const bool number = part.size() < 10 && all_digits(part);
    const Value key = number ? Value(static_cast<int64_t>(std::stol(part))) : Value(part);
    value = value.name_space() != nullptr ? in->attribute(value, part) : in->item(value, key);
  }
  return value;
}

// What sorting and comparing without regard to case look at.
Value folded(const Value& value, bool case_sensitive) {
  if (case_sensitive || value.string() == nullptr) return value;
  return Value(to_lower(*value.string()));
}

Value sort_by(const Call& c, std::vector<Value> items,
              const std::function<Value(const Value&)>& key_of, bool reverse) {
  if (!c.in->charge(items.size() * 2 * sizeof(Value))) return Value();
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    Value key = key_of(item);
    keyed.emplace_back(std::move(key), std::move(item));
  }
  int order = 0;
  // Checked first: an order that is none would be undefined behaviour in std::stable_sort.
  for (const auto& [key, item] : keyed) {
    if (!compare(keyed.front().first, key, &order)) {
      return c.in->fail("{}: {} and {} have no order", c.name, keyed.front().first.type_name(),
                        key.type_name());
    }
    if (key.list() != nullptr || (key.is_float() && std::isnan(key.as_double()))) {
      return c.in->fail("{}: values of type {} are not sorted", c.name, key.type_name());
    }
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    int o = 0;
    compare(a.first, b.first, &o);
    return reverse ? o > 0 : o < 0;
  });
  std::vector<Value> sorted;
  for (auto& [key, item] : keyed) sorted.push_back(std::move(item));
  return c.in->list(std::move(sorted));
}

Value sort(const Call& c) {
  const bool case_sensitive = c.flag(1, "case_sensitive", false);
  const std::string path = c.text_argument(2, "attribute", "");
  return sort_by(
      c, c.in->iterate(c.value),
      [&](const Value& v) {
        return folded(path.empty() ? v : path_of(c.in, v, path), case_sensitive);
      },
      c.flag(0, "reverse", false));
}

Value dictsort(const Call& c) {
  if (c.value.dict() == nullptr) return c.in->fail("dictsort of {}", c.value.type_name());
  std::vector<Value> items;
  for (const auto& [key, value] : c.value.dict()->items) {
    items.push_back(c.in->list({key, value}, true));
    if (!c.in->ok()) return Value();
  }
  const bool case_sensitive = c.flag(0, "case_sensitive", false);
  const size_t by = c.text_argument(1, "by", "key") == "value" ? 1 : 0;
  return sort_by(
      c, std::move(items),
      [&](const Value& v) { return folded(v.list()->items[by], case_sensitive); },
      c.flag(2, "reverse", false));
}

Value tojson(const Call& c) {
  JsonStyle style;
  const Value* indent = c.argument(1, "indent");
  if (c.arguments.positional.size() == 1) indent = &c.arguments.positional[0];
  if (indent != nullptr && indent->is_int()) {
    style.indent = static_cast<int>(std::clamp<int64_t>(indent->as_int(), 0, 64));
    style.item_separator = ",";
  }
  style.ensure_ascii = c.arguments.positional.size() != 1 && c.flag(0, "ensure_ascii", false);
  style.sort_keys = c.flag(3, "sort_keys", false);
  const Value* separators = c.argument(2, "separators");
  if (separators != nullptr && separators->list() != nullptr &&
      separators->list()->items.size() == 2) {
    style.item_separator = to_text(separators->list()->items[0]);
    style.key_separator = to_text(separators->list()->items[1]);
  }
  std::string out;
  if (!to_json(c.value, style, &out)) {
    return c.in->fail("{} has no JSON form", c.value.type_name());
  }
  return c.in->text(std::move(out));
}

Value default_value(const Call& c) {
  const bool replace_false = c.flag(1, "boolean", false);
  if (!c.value.is_undefined() && !(replace_false && !c.value.truthy())) return c.value;
  const Value* fallback = c.argument(0, "default_value");
  return fallback == nullptr ? Value("") : *fallback;
}

Value length(const Call& c) {
  if (const std::string* s = c.value.string()) {
    return c.in->charge(s->size()) ? Value(static_cast<int64_t>(count_characters(*s))) : Value();
  }
  if (const List* l = c.value.list()) return Value(static_cast<int64_t>(l->items.size()));
  if (const Dict* d = c.value.dict()) return Value(static_cast<int64_t>(d->items.size()));
  if (c.value.is_undefined()) return Value(int64_t{0});
  return c.in->fail("length of {}", c.value.type_name());
}

Value join(const Call& c) {
  const std::string separator = c.text_argument(0, "d", "");
  const std::string path = c.text_argument(1, "attribute", "");
  std::string out;
  bool first = true;
  for (const Value& item : c.in->iterate(c.value)) {
    if (!first) out += separator;
    first = false;
    const std::string part = to_text(path.empty() ? item : path_of(c.in, item, path));
    if (!c.in->charge(part.size() + separator.size())) return Value();
    out += part;
  }
  return c.in->text(std::move(out));
}

Value first_or_last(const Call& c) {
  const std::vector<Value> items = c.in->iterate(c.value);
  if (items.empty()) return Value(Undefined{c.name});
  return c.name == "first" ? items.front() : items.back();
}

Value indent(const Call& c) {
  const Value* width = c.argument(0, "width");
  const std::string by =
      width != nullptr && width->string() != nullptr
          ? *width->string()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(c.number(0, "width", 4), 0, 1000)),
                        ' ');
  const bool blank = c.flag(2, "blank", false);
  std::string out;
  bool first = true;
  for (const std::string& line : split(to_text(c.value), "\n", -1)) {
    if (!first) out += '\n';
    const bool indented = first ? c.flag(1, "first", false) : blank || !line.empty();
    if (!c.in->charge(line.size() + by.size())) return Value();
    if (indented) out += by;
    out += line;
    first = false;
  }
  return c.in->text(std::move(out));
}

Value replace(const Call& c) {
  std::string out;
  const size_t max_bytes = size_t{64} << 20;
  if (!jinja::replace(to_text(c.value), c.text_argument(0, "old", ""),
                      c.text_argument(1, "new", ""), c.number(2, "count", -1), max_bytes, &out)) {
    return c.in->fail("replace makes a text that is too long");
  }
  return c.in->text(std::move(out));
}

Value to_int(const Call& c) {
  const Value* given = c.argument(0, "default");
  const Value fallback = given == nullptr ? Value(int64_t{0}) : *given;
  if (c.value.is_float()) {
    const double d = c.value.as_double();
    return std::abs(d) < 0x1p63 ? Value(static_cast<int64_t>(d)) : fallback;
  }
  if (c.value.is_number()) return Value(c.value.as_int());
  const std::string* s = c.value.string();
  if (s == nullptr) return fallback;
  const std::string text(strip(*s, "", true, true));
  char* end = nullptr;
  errno = 0;
  const int64_t number = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == '\0' && errno == 0) return Value(number);
  const double d = std::strtod(text.c_str(), &end);
  const bool good = !text.empty() && *end == '\0' && std::abs(d) < 0x1p63;
  return good ? Value(static_cast<int64_t>(d)) : fallback;
}

Value to_float(const Call& c) {
  if (c.value.is_number()) return Value(c.value.as_double());
  const Value* given = c.argument(0, "default");
  const Value fallback = given == nullptr ? Value(0.0) : *given;
  if (c.value.string() == nullptr) return fallback;
  const std::string text(strip(*c.value.string(), "", true, true));
  char* end = nullptr;
  const double d = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? fallback : Value(d);
}

Value unique(const Call& c) {
  const bool case_sensitive = c.flag(0, "case_sensitive", false);
  const std::string path = c.text_argument(1, "attribute", "");
  std::vector<Value> kept;
  std::vector<Value> seen;
  for (const Value& item : c.in->iterate(c.value)) {
    const Value key = folded(path.empty() ? item : path_of(c.in, item, path), case_sensitive);
    const bool known = std::any_of(seen.begin(), seen.end(),
                                   [&](const Value& v) { return c.in->step() && equal(v, key); });
    if (!c.in->ok()) return Value();
    if (known) continue;
    seen.push_back(key);
    kept.push_back(item);
  }
  return c.in->list(std::move(kept));
}

Value reverse(const Call& c) {
  if (const std::string* s = c.value.string()) {
    std::string out;
    const auto characters = split_characters(*s);
    for (auto it = characters.rbegin(); it != characters.rend(); ++it) out += *it;
    return c.in->text(std::move(out));
  }
  std::vector<Value> items = c.in->iterate(c.value);
  std::reverse(items.begin(), items.end());
  return c.in->list(std::move(items));
}

// Arguments after the first `skip` positional ones.
CallArguments rest_of(const CallArguments& arguments, size_t skip) {
  CallArguments rest = arguments;
  rest.positional.erase(
      rest.positional.begin(),
      rest.positional.begin() + static_cast<ptrdiff_t>(std::min(skip, rest.positional.size())));
  return rest;
}

// select, reject, selectattr, rejectattr.
Value select(const Call& c) {
  const bool by_attribute = c.name.ends_with("attr");
  const bool wanted = c.name.starts_with("select");
  const std::string path = by_attribute ? c.text_argument(0, "attribute", "") : "";
  const size_t skip = by_attribute ? 1 : 0;
  const Value* test = c.argument(skip, "test");
  const CallArguments rest = rest_of(c.arguments, skip + 1);
  std::vector<Value> kept;
  for (const Value& item : c.in->iterate(c.value)) {
    if (!c.in->step()) return Value();
    const Value value = by_attribute ? path_of(c.in, item, path) : item;
    const bool good =
        test == nullptr ? value.truthy() : apply_test(c.in, to_text(*test), value, rest);
    if (good == wanted) kept.push_back(item);
  }
  return c.in->list(std::move(kept));
}

Value map(const Call& c) {
  std::vector<Value> out;
  const bool by_filter = !c.arguments.positional.empty();
  const Value* attribute = c.arguments.find(SIZE_MAX, "attribute");
  if (!by_filter && attribute == nullptr) return c.in->fail("map without a filter or attribute");
  const Value* fallback = c.arguments.find(SIZE_MAX, "default");
  for (const Value& item : c.in->iterate(c.value)) {
    if (!c.in->step()) return Value();
    if (by_filter) {
      out.push_back(
          apply_filter(c.in, to_text(c.arguments.positional[0]), item, rest_of(c.arguments, 1)));
    } else {
      Value value = path_of(c.in, item, to_text(*attribute));
      if (value.is_undefined() && fallback != nullptr) value = *fallback;
      out.push_back(std::move(value));
    }
  }
  return c.in->list(std::move(out));
}

Value items(const Call& c) {
  if (c.value.is_undefined()) return c.in->list({});
  if (c.value.dict() == nullptr) return c.in->fail("items of {}", c.value.type_name());
  return call_method(c.in, c.value, "items", {});
}

Value least_or_greatest(const Call& c) {
  const std::vector<Value> all = c.in->iterate(c.value);
  if (all.empty()) return Value(Undefined{c.name});
  const Value* best = &all.front();
  for (const Value& item : all) {
    int order = 0;
    if (!compare(folded(item, false), folded(*best, false), &order)) {
      return c.in->fail("{} of {} and {}", c.name, item.type_name(), best->type_name());
    }
    if (c.name == "min" ? order < 0 : order > 0) best = &item;
  }
  return *best;
}

Value sum(const Call& c) {
  const std::string path = c.text_argument(0, "attribute", "");
  double total = 0.0;
  int64_t whole = 0;
  bool is_float = false;
  for (const Value& item : c.in->iterate(c.value)) {
    const Value v = path.empty() ? item : path_of(c.in, item, path);
    if (!v.is_number()) return c.in->fail("sum of {}", v.type_name());
    is_float = is_float || v.is_float();
    total += v.as_double();
    if (!v.is_float() && __builtin_add_overflow(whole, v.as_int(), &whole)) {
      return c.in->fail("an integer of more than 64 bits");
    }
  }
  return is_float ? Value(total) : Value(whole);
}

Value round(const Call& c) {
  if (!c.value.is_number()) return c.in->fail("round of {}", c.value.type_name());
  const double scale = std::pow(
      10.0, static_cast<double>(std::clamp<int64_t>(c.number(0, "precision", 0), -15, 15)));
  const std::string method = c.text_argument(1, "method", "common");
  const double scaled = c.value.as_double() * scale;
  const double rounded = method == "ceil"    ? std::ceil(scaled)
                         : method == "floor" ? std::floor(scaled)
                                             : std::nearbyint(scaled);
  return Value(rounded / scale);
}

Value absolute(const Call& c) {
  if (c.value.is_float()) return Value(std::abs(c.value.as_double()));
  if (!c.value.is_number() || c.value.as_int() == INT64_MIN) {
    return c.in->fail("abs of {}", c.value.type_name());
  }
  return Value(std::abs(c.value.as_int()));
}

Value of_text(const Call& c, std::string (*function)(std::string_view)) {
  return c.in->text(function(to_text(c.value)));
}

using Filter = std::function<Value(const Call&)>;

const std::unordered_map<std::string, Filter>& filters() {
  static const std::unordered_map<std::string, Filter> table = {
      {"trim",
       [](const Call& c) {
         const std::string which = c.text_argument(0, "chars", "");
         return c.in->text(std::string(strip(to_text(c.value), which, true, true)));
       }},
      {"tojson", tojson},
      {"upper", [](const Call& c) { return of_text(c, to_upper); }},
      {"lower", [](const Call& c) { return of_text(c, to_lower); }},
      {"capitalize", [](const Call& c) { return of_text(c, capitalized); }},
      {"title", [](const Call& c) { return of_text(c, title_by_separators); }},
      {"string", [](const Call& c) { return c.in->text(to_text(c.value)); }},
      {"safe", [](const Call& c) { return c.value; }},
      {"list", [](const Call& c) { return c.in->list(c.in->iterate(c.value)); }},
      {"length", length},
      {"count", length},
      {"join", join},
      {"default", default_value},
      {"d", default_value},
      {"first", first_or_last},
      {"last", first_or_last},
      {"items", items},
      {"dictsort", dictsort},
      {"sort", sort},
      {"unique", unique},
      {"reverse", reverse},
      {"select", select},
      {"reject", select},
      {"selectattr", select},
      {"rejectattr", select},
      {"map", map},
      {"replace", replace},
      {"indent", indent},
      {"int", to_int},
      {"float", to_float},
      {"abs", absolute},
      {"round", round},
      {"min", least_or_greatest},
      {"max", least_or_greatest},
      {"sum", sum},
  };
  return table;
}

}  // namespace

Value apply_filter(Interpreter* in, const std::string& name, const Value& value,
                   const CallArguments& arguments) {
  const auto it = filters().find(name);
  if (it == filters().end()) return in->fail("no filter is called '{}'", name);
  if (const std::string* s = value.string(); s != nullptr && !in->charge(s->size())) return Value();
  return it->second(Call{in, name, value, arguments});
}

}  // namespace pare::jinja

// Methods of Python's str, list and dict, as far as they do not change the object.
#include <algorithm>
#include <array>

#include "model/tokenizer/jinja/interpreter.h"
#include "model/tokenizer/jinja/text.h"

namespace pare::jinja {
namespace {

constexpr std::array kStringMethods = {
    "strip",    "lstrip",       "rstrip",       "split",   "rsplit",     "splitlines", "startswith",
    "endswith", "upper",        "lower",        "title",   "capitalize", "replace",    "find",
    "rfind",    "count",        "join",         "format",  "isdigit",    "isalpha",    "isalnum",
    "isspace",  "removeprefix", "removesuffix", "isupper", "islower"};
constexpr std::array kListMethods = {"index", "count", "copy"};
constexpr std::array kDictMethods = {"items", "keys", "values", "get", "copy"};

template <size_t N>
bool has(const std::array<const char*, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value strings(Interpreter* in, std::vector<std::string> parts) {
  std::vector<Value> items;
  for (std::string& part : parts) {
    items.push_back(in->text(std::move(part)));
    if (!in->ok()) return Value();
  }
  return in->list(std::move(items));
}

// The position in code points of a byte offset.
Value position(std::string_view text, size_t offset) {
  if (offset == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(count_characters(text.substr(0, offset))));
}

bool begins_or_ends(const std::string& self, const Value& what, bool begins) {
  if (const List* list = what.list()) {
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& v) { return begins_or_ends(self, v, begins); });
  }
  const std::string* part = what.string();
  return part != nullptr && (begins ? self.starts_with(*part) : self.ends_with(*part));
}

int64_t count_of(std::string_view text, std::string_view part) {
  if (part.empty()) return static_cast<int64_t>(count_characters(text)) + 1;
  int64_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++n;
  return n;
}

Value join(Interpreter* in, const std::string& self, const Value& items) {
  std::string out;
  bool first = true;
  for (const Value& item : in->iterate(items)) {
    if (item.string() == nullptr) return in->fail("join() of {}", item.type_name());
    if (!first) out += self;
    first = false;
    out += *item.string();
    if (!in->charge(self.size() + item.string()->size())) return Value();
  }
  return in->text(std::move(out));
}

// "{} and {0} and {name}", without format specifications.
Value format(Interpreter* in, const std::string& self, const CallArguments& arguments) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < self.size(); ++i) {
    const char c = self[i];
    if ((c == '{' || c == '}') && i + 1 < self.size() && self[i + 1] == c) {
      out += self[i++];
    } else if (c == '{') {
      const size_t end = self.find('}', i);
      if (end == std::string::npos) return in->fail("format(): '{{' without '}}'");
      const std::string field = self.substr(i + 1, end - i - 1);
      const bool number = !field.empty() && field.size() < 6 && all_digits(field);
      const size_t index = field.empty() ? next++ : number ? std::stoul(field) : SIZE_MAX;
      const Value* value = arguments.find(index, field);
      if (value == nullptr) return in->fail("format(): no argument for '{{{}}}'", field);
      const std::string text = to_text(*value);
      if (!in->charge(text.size())) return Value();
      out += text;
      i = end;
    } else {
      out += c;
    }
  }
  return in->text(std::move(out));
}

Value string_method(Interpreter* in, const std::string& self, const std::string& name,
                    const CallArguments& arguments) {
  const Value* first = arguments.find(0, name.ends_with("split") ? "sep" : "chars");
  const Value* second = arguments.find(1, name == "replace" ? "new" : "maxsplit");
  const Value* third = arguments.find(2, "count");
  const std::string* part = first == nullptr ? nullptr : first->string();
  const auto limit = [](const Value* v) {
    return v != nullptr && v->is_int() ? v->as_int() : int64_t{-1};
  };
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const std::string_view which = part == nullptr ? std::string_view() : *part;
    if (part != nullptr && part->empty()) return in->text(self);
    return in->text(std::string(strip(self, which, name != "rstrip", name != "lstrip")));
  }
  if (name == "split" || name == "rsplit") {
    if (part != nullptr && part->empty()) return in->fail("split() by an empty separator");
    const std::string_view separator = part == nullptr ? std::string_view() : *part;
    const bool from_right = name == "rsplit" && part != nullptr;
    return strings(in, from_right ? split_from_right(self, separator, limit(second))
                                  : split(self, separator, limit(second)));
  }
  if (name == "splitlines") {
    return strings(in, split_lines(self, first != nullptr && first->truthy()));
  }
  if (name == "upper") return in->text(to_upper(self));
  if (name == "lower") return in->text(to_lower(self));
  if (name == "title") return in->text(title_by_letters(self));
  if (name == "capitalize") return in->text(capitalized(self));
  if (name == "isdigit") return Value(all_digits(self));
  if (name == "isalpha") return Value(all_letters(self));
  if (name == "isalnum") return Value(all_letters_or_digits(self));
  if (name == "isspace") return Value(all_space(self));
  if (name == "isupper") return Value(self == to_upper(self) && self != to_lower(self));
  if (name == "islower") return Value(self == to_lower(self) && self != to_upper(self));
  if (name == "format") return format(in, self, arguments);
  if (first == nullptr) return in->fail("{}() without an argument", name);
  if (name == "startswith") return Value(begins_or_ends(self, *first, true));
  if (name == "endswith") return Value(begins_or_ends(self, *first, false));
  if (name == "join") return join(in, self, *first);
  if (part == nullptr) return in->fail("{}() of {}", name, first->type_name());
  if (name == "find") return position(self, self.find(*part));
  if (name == "rfind") return position(self, self.rfind(*part));
  if (name == "count") return Value(count_of(self, *part));
  if (name == "removeprefix") {
    return in->text(self.starts_with(*part) ? self.substr(part->size()) : self);
  }
  if (name == "removesuffix") {
    return in->text(self.ends_with(*part) ? self.substr(0, self.size() - part->size()) : self);
  }
  // What is left is replace.
  if (second == nullptr || second->string() == nullptr) return in->fail("replace() by no string");
  std::string out;
  if (!replace(self, *part, *second->string(), limit(third), size_t{64} << 20, &out)) {
    return in->fail("replace() makes a text that is too long");
  }
  return in->text(std::move(out));
}

Value dict_method(Interpreter* in, const Dict& self, const std::string& name,
                  const CallArguments& arguments) {
  if (name == "get") {
    const Value* key = arguments.find(0, "key");
    if (key == nullptr) return in->fail("get() without a key");
    if (const Value* found = find(self, *key)) return *found;
    const Value* fallback = arguments.find(1, "default");
    return fallback == nullptr ? Value(None{}) : *fallback;
  }
  if (name == "copy") return in->dict(self.items);
  std::vector<Value> items;
  for (const auto& [key, value] : self.items) {
    if (!in->ok()) return Value();
    items.push_back(name == "items" ? in->list({key, value}, true) : name == "keys" ? key : value);
  }
  return in->list(std::move(items));
}

Value list_method(Interpreter* in, const List& self, const std::string& name,
                  const CallArguments& arguments) {
  if (name == "copy") return in->list(self.items);
  const Value* wanted = arguments.find(0, "value");
  if (wanted == nullptr) return in->fail("{}() without an argument", name);
  int64_t count = 0;
  for (size_t i = 0; i < self.items.size(); ++i) {
    if (!in->step()) return Value();
    if (!equal(self.items[i], *wanted)) continue;
    if (name == "index") return Value(static_cast<int64_t>(i));
    ++count;
  }
  return name == "count" ? Value(count) : in->fail("index() of a value that is not in the list");
}

}  // namespace

bool has_method(const Value& self, const std::string& name) {
  if (self.string() != nullptr) return has(kStringMethods, name);
  if (self.dict() != nullptr) return has(kDictMethods, name);
  return self.list() != nullptr && has(kListMethods, name);
}

Value call_method(Interpreter* in, const Value& self, const std::string& name,
                  const CallArguments& arguments) {
  if (const std::string* s = self.string()) {
    // Methods read the text once or a few times.
    return in->charge(s->size()) ? string_method(in, *s, name, arguments) : Value();
  }
  if (const Dict* d = self.dict()) return dict_method(in, *d, name, arguments);
  if (const List* l = self.list()) return list_method(in, *l, name, arguments);
  return in->fail("{} has no method '{}'", self.type_name(), name);
}

}  // namespace pare::jinja

#include "model/tokenizer/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/tokenizer/utf8.h"

namespace pare::jinja {
namespace {

std::string number_text(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", d);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  const char quote =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (char c : text) {
    if (c == quote || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if ((c >= 0 && c < 0x20) || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + quote;
}

std::string json_string(const std::string& text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    const std::string_view bytes = std::string_view(text).substr(i, c.size);
    i += c.size;
    static constexpr std::string_view kPlain = "\"\\\n\r\t\b\f";
    static constexpr std::string_view kLetters = "\"\\nrtbf";
    const size_t known = c.value < 0x80 ? kPlain.find(static_cast<char>(c.value)) : kPlain.npos;
    if (known != kPlain.npos) {
      out += {'\\', kLetters[known]};
    } else if (c.value < 0x20 || (ensure_ascii && c.value >= 0x7f && c.value < 0x10000)) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.value));
    } else if (ensure_ascii && c.value >= 0x10000) {
      const auto rest = static_cast<uint32_t>(c.value) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    } else {
      out += bytes;
    }
  }
  return out + "\"";
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, std::string* out) : style_(style), out_(out) {}

  bool write(const Value& value, int level) {
    if (value.is_none()) {
      *out_ += "null";
    } else if (value.is_bool()) {
      *out_ += value.truthy() ? "true" : "false";
    } else if (value.is_int()) {
      *out_ += fmt::format("{}", value.as_int());
    } else if (value.is_float()) {
      const double d = value.as_double();
      *out_ += std::isnan(d)   ? "NaN"
               : std::isinf(d) ? (d < 0 ? "-Infinity" : "Infinity")
                               : number_text(d);
    } else if (const std::string* s = value.string()) {
      *out_ += json_string(*s, style_.ensure_ascii);
    } else if (const List* list = value.list()) {
      return write_all(list->items, '[', ']', level,
                       [&](const Value& item) { return write(item, level + 1); });
    } else if (const Dict* dict = value.dict()) {
      auto items = dict->items;
      if (style_.sort_keys) {
        std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
          int order = 0;
          return compare(a.first, b.first, &order) && order < 0;
        });
      }
      return write_all(items, '{', '}', level, [&](const std::pair<Value, Value>& item) {
        *out_ += json_string(key_text(item.first), style_.ensure_ascii) + style_.key_separator;
        return write(item.second, level + 1);
      });
    } else {
      return false;
    }
    return true;
  }

 private:
  static std::string key_text(const Value& key) {
    if (const std::string* s = key.string()) return *s;
    if (key.is_none()) return "null";
    if (key.is_bool()) return key.truthy() ? "true" : "false";
    return to_text(key);
  }

  void new_line(int level) {
    if (style_.indent < 0) return;
    *out_ += '\n';
    out_->append(static_cast<size_t>(style_.indent) * static_cast<size_t>(level), ' ');
  }

  template <typename Items, typename WriteItem>
  bool write_all(const Items& items, char open, char close, int level, WriteItem write_item) {
    *out_ += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) *out_ += style_.item_separator;
      first = false;
      new_line(level + 1);
      if (!write_item(item)) return false;
    }
    if (!items.empty()) new_line(level);
    *out_ += close;
    return true;
  }

  const JsonStyle& style_;
  std::string* out_;
};

}  // namespace

int64_t Value::as_int() const {
  if (is_bool()) return std::get<bool>(v_) ? 1 : 0;
  if (is_float()) return static_cast<int64_t>(std::get<double>(v_));
  return std::get<int64_t>(v_);
}

double Value::as_double() const {
  return is_float() ? std::get<double>(v_) : static_cast<double>(as_int());
}

bool Value::truthy() const {
  if (is_bool()) return std::get<bool>(v_);
  if (is_int()) return as_int() != 0;
  if (is_float()) return as_double() != 0.0;
  if (const std::string* s = string()) return !s->empty();
  if (const List* l = list()) return !l->items.empty();
  if (const Dict* d = dict()) return !d->items.empty();
  return !is_undefined() && !is_none();
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth;
  return 0;
}

const char* Value::type_name() const {
  if (is_undefined()) return "undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (string() != nullptr) return "str";
  if (const List* l = list()) return l->tuple ? "tuple" : "list";
  if (dict() != nullptr) return "dict";
  return name_space() != nullptr ? "Namespace" : "function";
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.as_double() == b.as_double();
    return a.as_int() == b.as_int();
  }
  if (a.string() != nullptr && b.string() != nullptr) return *a.string() == *b.string();
  if (a.list() != nullptr && b.list() != nullptr) {
    return a.list()->tuple == b.list()->tuple &&
           std::equal(a.list()->items.begin(), a.list()->items.end(), b.list()->items.begin(),
                      b.list()->items.end(), equal);
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    if (a.dict()->items.size() != b.dict()->items.size()) return false;
    return std::all_of(a.dict()->items.begin(), a.dict()->items.end(), [&](const auto& item) {
      const Value* other = find(*b.dict(), item.first);
      return other != nullptr && equal(item.second, *other);
    });
  }
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  if (a.function() != nullptr) return a.function() == b.function();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool compare(const Value& a, const Value& b, int* order) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) {
      *order = a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double() ? 1 : 0;
    } else {
      *order = a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
    }
    return true;
  }
  if (a.string() != nullptr && b.string() != nullptr) {
    const int c = a.string()->compare(*b.string());  // UTF-8 sorts as its code points do
    *order = c < 0 ? -1 : c > 0 ? 1 : 0;
    return true;
  }
  if (a.list() == nullptr || b.list() == nullptr) return false;
  const auto& x = a.list()->items;
  const auto& y = b.list()->items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (equal(x[i], y[i])) continue;
    return compare(x[i], y[i], order);
  }
  *order = x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  return true;
}

const Value* find(const Dict& dict, const Value& key) {
  const auto it = std::find_if(dict.items.begin(), dict.items.end(),
                               [&](const auto& item) { return equal(item.first, key); });
  return it == dict.items.end() ? nullptr : &it->second;
}

std::string to_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (const std::string* s = value.string()) return *s;
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.truthy() ? "True" : "False";
  if (value.is_int()) return fmt::format("{}", value.as_int());
  if (value.is_float()) return number_text(value.as_double());
  if (const std::string* s = value.string()) return quoted(*s);
  if (const List* list = value.list()) {
    std::vector<std::string> parts;
    for (const Value& item : list->items) parts.push_back(to_repr(item));
    if (!list->tuple) return fmt::format("[{}]", fmt::join(parts, ", "));
    return fmt::format("({}{})", fmt::join(parts, ", "), parts.size() == 1 ? "," : "");
  }
  if (const Dict* dict = value.dict()) {
    std::vector<std::string> parts;
    for (const auto& [key, item] : dict->items) {
      parts.push_back(to_repr(key) + ": " + to_repr(item));
    }
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  return fmt::format("<{}>", value.type_name());
}

bool to_json(const Value& value, const JsonStyle& style, std::string* out) {
  return JsonWriter(style, out).write(value, 0);
}

Value from_json(const nlohmann::ordered_json& json) {
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<uint64_t>() <= INT64_MAX) return Value(json.get<int64_t>());
      return Value(json.get<double>());
    case nlohmann::ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return Value(json.get<std::string>());
    case nlohmann::ordered_json::value_t::array: {
      auto list = std::make_shared<List>();
      for (const auto& item : json) {
        list->items.push_back(from_json(item));
        list->depth = std::max(list->depth, 1 + list->items.back().depth());
      }
      return Value(std::shared_ptr<const List>(std::move(list)));
    }
    case nlohmann::ordered_json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : json.items()) {
        dict->items.emplace_back(Value(key), from_json(item));
        dict->depth = std::max(dict->depth, 1 + dict->items.back().second.depth());
      }
      return Value(std::shared_ptr<const Dict>(std::move(dict)));
    }
    default:
      return Value(None{});
  }
}

}  // namespace pare::jinja

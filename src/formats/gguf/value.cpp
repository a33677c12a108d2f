#include "formats/gguf/value.h"

#include <fmt/format.h>

#include "base/check.h"

namespace pare::gguf {
namespace {

constexpr const char* kNames[kValueTypeCount] = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
constexpr size_t kBytes[kValueTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

// Cut at `limit` bytes; what a terminal would act on is shown escaped.
std::string quoted(std::string_view text, size_t limit) {
  std::string out = "\"";
  for (char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
  if (text.size() > limit) out += fmt::format("... ({} bytes)", text.size());
  return out;
}

std::string element_text(const Array& array, size_t i, size_t max_text) {
  if (array.is_string()) return quoted(array.string(i), max_text);
  if (auto b = array.number<bool>(i)) return *b ? "true" : "false";
  if (array.element_type() == ValueType::kF32) return fmt::format("{}", *array.number<float>(i));
  if (auto n = array.number<int64_t>(i)) return fmt::format("{}", *n);
  if (auto n = array.number<uint64_t>(i)) return fmt::format("{}", *n);
  return fmt::format("{}", *array.number<double>(i));
}

}  // namespace

const char* value_type_name(ValueType type) { return kNames[static_cast<size_t>(type)]; }
size_t value_type_bytes(ValueType type) { return kBytes[static_cast<size_t>(type)]; }

Array Array::from_bytes(ValueType element, std::span<const std::byte> bytes) {
  const size_t width = value_type_bytes(element);
  PARE_CHECK(width != 0 && bytes.size() % width == 0, "whole numbers are needed");
  return Array(element, bytes.size() / width,
               std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), {});
}

Array Array::of(std::span<const std::string> strings) {
  StringArrayBuilder builder;
  builder.reserve(strings.size());
  for (const std::string& s : strings) builder.add(s);
  return std::move(builder).build();
}

std::string Value::type_name() const {
  if (const Array* a = array()) {
    return fmt::format("array of {}", value_type_name(a->element_type()));
  }
  return value_type_name(type());
}

std::string Value::to_string(size_t max_items, size_t max_text) const {
  return std::visit(
      [&](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::same_as<T, std::string>) {
          return quoted(v, max_text);
        } else if constexpr (std::same_as<T, Array>) {
          std::string out = "[";
          for (size_t i = 0; i < std::min(max_items, v.size()); ++i) {
            if (i > 0) out += ", ";
            out += element_text(v, i, max_text);
          }
          if (v.size() > max_items) out += fmt::format(", ... ({} in all)", v.size());
          return out + "]";
        } else {
          return fmt::format("{}", v);
        }
      },
      v_);
}

bool operator==(const Value& a, const Value& b) {
  if (a.type() != b.type()) return false;
  return std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        const T& y = std::get<T>(b.v_);
        if constexpr (std::floating_point<T>) {
          return std::memcmp(&x, &y, sizeof(T)) == 0;
        } else {
          return x == y;
        }
      },
      a.v_);
}

}  // namespace pare::gguf

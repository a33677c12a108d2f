// One metadata value of a GGUF file: 11 kinds of number or truth value, a string, or an array.
//
// Values are cheap to copy: an array's elements are immutable, shared, and stored in one piece
// (a vocabulary of 256 k tokens is two allocations). Not synchronised, like std types.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pare::gguf {

// The numbers are those of the file format.
enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};
inline constexpr uint32_t kValueTypeCount = 13;

const char* value_type_name(ValueType type);  // "u32", "string"
// Bytes of one element, 0 for strings and arrays.
size_t value_type_bytes(ValueType type);

template <typename T>
concept Number = std::is_arithmetic_v<T>;

template <Number T>
constexpr ValueType value_type_of() {
  if constexpr (std::same_as<T, bool>)
    return ValueType::kBool;
  else if constexpr (std::same_as<T, float>)
    return ValueType::kF32;
  else if constexpr (std::same_as<T, double>)
    return ValueType::kF64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? ValueType::kI8 : ValueType::kU8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? ValueType::kI16 : ValueType::kU16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? ValueType::kI32 : ValueType::kU32;
  else
    return std::is_signed_v<T> ? ValueType::kI64 : ValueType::kU64;
}

// Elements of one type, packed. Arrays of arrays do not occur in practice and are not held.
class Array {
 public:
  Array() : Array(ValueType::kU8, 0, {}, {}) {}  // empty
  // `bytes` as in the file: little-endian numbers, one byte (0 or 1) per truth value.
  static Array from_bytes(ValueType element, std::span<const std::byte> bytes);
  template <Number T>
  static Array of(std::span<const T> numbers) {
    return from_bytes(value_type_of<T>(), std::as_bytes(numbers));
  }
  template <Number T>
  static Array of(const std::vector<T>& numbers) requires(!std::same_as<T, bool>) {
    return of(std::span<const T>(numbers));
  }
  static Array of(std::span<const std::string> strings);
  static Array of(const std::vector<std::string>& strings) {
    return of(std::span<const std::string>(strings));
  }

  ValueType element_type() const { return element_; }
  bool is_string() const { return element_ == ValueType::kString; }
  size_t size() const { return size_; }
  // Numbers: the elements. Strings: all of them, one after the other.
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(storage_->bytes)); }

  // Element i < size() of a string array. The view lives as long as a copy of this array.
  std::string_view string(size_t i) const {
    const uint64_t begin = i == 0 ? 0 : storage_->ends[i - 1];
    return std::string_view(storage_->bytes).substr(begin, storage_->ends[i] - begin);
  }
  // Element i < size() of a number array, if T can hold it exactly (floats: rounded).
  template <Number T>
  std::optional<T> number(size_t i) const;

  friend bool operator==(const Array& a, const Array& b) {
    return a.element_ == b.element_ && a.size_ == b.size_ &&
           (a.storage_ == b.storage_ ||
            (a.storage_->bytes == b.storage_->bytes && a.storage_->ends == b.storage_->ends));
  }

 private:
  friend class StringArrayBuilder;
  struct Storage {
    std::string bytes;
    std::vector<uint64_t> ends;  // strings only: where each one ends in `bytes`
  };
  Array(ValueType element, size_t size, std::string bytes, std::vector<uint64_t> ends)
      : element_(element),
        size_(size),
        storage_(std::make_shared<const Storage>(Storage{std::move(bytes), std::move(ends)})) {}

  ValueType element_;
  size_t size_;
  std::shared_ptr<const Storage> storage_;
};

// Collects strings into an Array without an allocation for each.
class StringArrayBuilder {
 public:
  void reserve(size_t strings) { ends_.reserve(strings); }
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(bytes_.size());
  }
  Array build() && {
    const size_t n = ends_.size();
    return Array(ValueType::kString, n, std::move(bytes_), std::move(ends_));
  }

 private:
  std::string bytes_;
  std::vector<uint64_t> ends_;
};

class Value {
 public:
  // Alternatives stand in the order of ValueType, so that the index is the type.
  using Variant = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, Array, uint64_t, int64_t, double>;
  static_assert(std::variant_size_v<Variant> == kValueTypeCount);

  // The type follows the argument's: Value(uint32_t{4}) is a u32, Value(4) an i32.
  template <Number T>
  explicit Value(T number)
      : v_(std::in_place_index<static_cast<size_t>(value_type_of<T>())>, number) {}
  explicit Value(std::string text) : v_(std::move(text)) {}
  explicit Value(std::string_view text) : v_(std::string(text)) {}
  explicit Value(const char* text) : v_(std::string(text)) {}
  explicit Value(Array array) : v_(std::move(array)) {}

  ValueType type() const { return static_cast<ValueType>(v_.index()); }
  const Variant& variant() const { return v_; }

  // The number, if this is one that T can hold exactly (floats: rounded to T). An integer reads
  // as any integer or float type, a float as any float type, a truth value as bool alone.
  template <Number T>
  std::optional<T> number() const {
    return std::visit([](const auto& v) { return convert<T>(v); }, v_);
  }
  const std::string* string() const { return std::get_if<std::string>(&v_); }
  const Array* array() const { return std::get_if<Array>(&v_); }

  // "u32", "array of string"
  std::string type_name() const;
  // For people: numbers as such, strings quoted and cut, the first `max_items` of an array.
  std::string to_string(size_t max_items = 8, size_t max_text = 120) const;

  // Same type and same bits: NaN equals itself.
  friend bool operator==(const Value& a, const Value& b);

  template <Number T, typename From>
  static std::optional<T> convert(const From& from) {
    if constexpr (!Number<From>) {
      return std::nullopt;
    } else if constexpr (std::same_as<T, bool> || std::same_as<From, bool>) {
      if constexpr (std::same_as<T, From>) return from;
      return std::nullopt;
    } else if constexpr (std::floating_point<T>) {
      return static_cast<T>(from);
    } else if constexpr (std::floating_point<From>) {
      return std::nullopt;
    } else {
      if (!std::in_range<T>(from)) return std::nullopt;
      return static_cast<T>(from);
    }
  }

 private:
  Variant v_;
};

template <Number T>
std::optional<T> Array::number(size_t i) const {
  const auto read = [&]<typename From>(From) -> std::optional<T> {
    From from;
    std::memcpy(&from, storage_->bytes.data() + i * sizeof(From), sizeof(From));
    return Value::convert<T>(from);
  };
  switch (element_) {
    case ValueType::kU8:
      return read(uint8_t{});
    case ValueType::kI8:
      return read(int8_t{});
    case ValueType::kU16:
      return read(uint16_t{});
    case ValueType::kI16:
      return read(int16_t{});
    case ValueType::kU32:
      return read(uint32_t{});
    case ValueType::kI32:
      return read(int32_t{});
    case ValueType::kF32:
      return read(float{});
    case ValueType::kBool:
      return read(bool{});
    case ValueType::kU64:
      return read(uint64_t{});
    case ValueType::kI64:
      return read(int64_t{});
    case ValueType::kF64:
      return read(double{});
    case ValueType::kString:
    case ValueType::kArray:
      break;
  }
  return std::nullopt;
}

}  // namespace pare::gguf

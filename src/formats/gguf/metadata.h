// A model's metadata as GGUF has it: keys in order, each with a typed value. This is pare's one
// form of metadata, also for models that came from elsewhere.
//
// Typed getters return what went wrong by name: the key, the type found, the type expected.
// Integers are read leniently: any width will do if the value fits. A getter with a default
// gives it when the key is absent; a key of the wrong type is an error all the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "formats/gguf/value.h"

namespace pare::gguf {

class Metadata {
 public:
  struct Entry {
    std::string key;
    Value value;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // Replaces the value in place, or adds the key at the end.
  void set(std::string_view key, Value value);
  template <typename T>
  requires(!std::same_as<std::decay_t<T>, Value>) void set(std::string_view key, T&& value) {
    set(key, Value(std::forward<T>(value)));
  }
  bool erase(std::string_view key);  // true if it was there
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const Value* find(std::string_view key) const;  // null if absent

  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  template <Number T>
  Result<T> get(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return absent(key);
    if (auto number = value->number<T>()) return *number;
    return wrong_type(key, *value, value_type_name(value_type_of<T>()));
  }
  template <Number T>
  Result<T> get(std::string_view key, T fallback) const {
    return contains(key) ? get<T>(key) : fallback;
  }
  Result<uint32_t> get_u32(std::string_view key) const { return get<uint32_t>(key); }
  Result<uint64_t> get_u64(std::string_view key) const { return get<uint64_t>(key); }
  Result<int32_t> get_i32(std::string_view key) const { return get<int32_t>(key); }
  Result<int64_t> get_i64(std::string_view key) const { return get<int64_t>(key); }
  Result<float> get_f32(std::string_view key) const { return get<float>(key); }
  Result<bool> get_bool(std::string_view key) const { return get<bool>(key); }
  Result<uint32_t> get_u32(std::string_view key, uint32_t fallback) const {
    return get<uint32_t>(key, fallback);
  }
  Result<uint64_t> get_u64(std::string_view key, uint64_t fallback) const {
    return get<uint64_t>(key, fallback);
  }
  Result<int32_t> get_i32(std::string_view key, int32_t fallback) const {
    return get<int32_t>(key, fallback);
  }
  Result<int64_t> get_i64(std::string_view key, int64_t fallback) const {
    return get<int64_t>(key, fallback);
  }
  Result<float> get_f32(std::string_view key, float fallback) const {
    return get<float>(key, fallback);
  }
  Result<bool> get_bool(std::string_view key, bool fallback) const {
    return get<bool>(key, fallback);
  }
  Result<std::string> get_string(std::string_view key) const;
  Result<std::string> get_string(std::string_view key, std::string_view fallback) const;

  // A shared handle on a string array: nothing is copied.
  Result<Array> get_strings(std::string_view key) const;
  // All elements of a number array, converted.
  Result<std::vector<int64_t>> get_ints(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;
  // Keys such as feed_forward_length hold one number for all blocks or an array with one per
  // block: n numbers either way. An array of another length is an error.
  Result<std::vector<uint32_t>> get_u32_per_block(std::string_view key, size_t n) const;

  // Same keys in the same order with the same values.
  friend bool operator==(const Metadata& a, const Metadata& b) { return a.entries_ == b.entries_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  static Status absent(std::string_view key);
  static Status wrong_type(std::string_view key, const Value& found, std::string_view expected);

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

}  // namespace pare::gguf

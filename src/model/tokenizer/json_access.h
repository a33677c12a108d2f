// Reading JSON of unknown shape without exceptions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace pare {

// The member `key` of an object; null if `object` is none, has no such key, or has null there.
inline const nlohmann::json* member(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

inline bool bool_or(const nlohmann::json& object, const char* key, bool fallback) {
  const nlohmann::json* value = member(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

inline std::string string_or(const nlohmann::json& object, const char* key,
                             const std::string& fallback) {
  const nlohmann::json* value = member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : fallback;
}

// An integer that fits into int32; `fallback` for anything else.
inline int32_t int_or(const nlohmann::json& object, const char* key, int32_t fallback) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr || !value->is_number_integer()) return fallback;
  if (value->is_number_unsigned() && value->get<uint64_t>() > INT32_MAX) return fallback;
  const int64_t number = value->get<int64_t>();
  return number < INT32_MIN || number > INT32_MAX ? fallback : static_cast<int32_t>(number);
}

// A token as tokenizer_config.json writes it: its text, or an object with "content".
inline std::string token_text_or(const nlohmann::json& object, const char* key,
                                 const std::string& fallback) {
  const nlohmann::json* value = member(object, key);
  if (value != nullptr && value->is_object()) return string_or(*value, "content", fallback);
  return string_or(object, key, fallback);
}

}  // namespace pare

#include "formats/gguf/metadata.h"

namespace pare::gguf {

Status Metadata::absent(std::string_view key) {
  return not_found("metadata key {} is missing", key);
}

Status Metadata::wrong_type(std::string_view key, const Value& found, std::string_view expected) {
  return corrupt("metadata key {}: found {} ({}), expected {}", key, found.type_name(),
                 found.to_string(4, 40), expected);
}

void Metadata::set(std::string_view key, Value value) {
  if (auto it = index_.find(key); it != index_.end()) {
    entries_[it->second].value = std::move(value);
    return;
  }
  index_.emplace(key, entries_.size());
  entries_.push_back({std::string(key), std::move(value)});
}

bool Metadata::erase(std::string_view key) {
  const auto it = index_.find(key);
  if (it == index_.end()) return false;
  const size_t at = it->second;
  index_.erase(it);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(at));
  for (auto& [name, position] : index_) {
    if (position > at) --position;
  }
  return true;
}

const Value* Metadata::find(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].value;
}

Result<std::string> Metadata::get_string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  if (const std::string* text = value->string()) return *text;
  return wrong_type(key, *value, "string");
}

Result<std::string> Metadata::get_string(std::string_view key, std::string_view fallback) const {
  if (!contains(key)) return std::string(fallback);
  return get_string(key);
}

Result<Array> Metadata::get_strings(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  const Array* array = value->array();
  // An empty array of another type is an empty array of strings.
  if (array == nullptr || (!array->is_string() && array->size() > 0)) {
    return wrong_type(key, *value, "array of string");
  }
  return array->is_string() ? *array : Array::of(std::span<const std::string>());
}

namespace {
template <Number T>
bool read_all(const Array& array, std::vector<T>* out) {
  out->reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const auto number = array.number<T>(i);
    if (!number) return false;
    out->push_back(*number);
  }
  return true;
}
}  // namespace

Result<std::vector<int64_t>> Metadata::get_ints(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  std::vector<int64_t> out;
  const Array* array = value->array();
  if (array == nullptr || !read_all(*array, &out)) {
    return wrong_type(key, *value, "array of integers");
  }
  return out;
}

Result<std::vector<float>> Metadata::get_floats(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  std::vector<float> out;
  const Array* array = value->array();
  if (array == nullptr || !read_all(*array, &out)) {
    return wrong_type(key, *value, "array of numbers");
  }
  return out;
}

Result<std::vector<uint32_t>> Metadata::get_u32_per_block(std::string_view key, size_t n) const {
  const Value* value = find(key);
  if (value == nullptr) return absent(key);
  if (const auto number = value->number<uint32_t>()) return std::vector<uint32_t>(n, *number);
  std::vector<uint32_t> out;
  const Array* array = value->array();
  if (array == nullptr || array->size() != n || !read_all(*array, &out)) {
    return wrong_type(key, *value, fmt::format("one u32, or an array of {}", n));
  }
  return out;
}

}  // namespace pare::gguf

#include "model/arch/hf_config.h"

#include <cmath>
#include <cstdlib>

namespace pare {

using nlohmann::json;

namespace {

std::string shown(const json& value) {
  // Arrays and objects may be as long as the file: their kind says enough.
  if (value.is_structured()) return value.type_name();
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 80) + "...";
  return text;
}

Status wrong(std::string_view key, const json& found, std::string_view expected) {
  return invalid_argument("config.json: \"{}\" is {}, expected {}", key, shown(found), expected);
}

Status missing(std::string_view key) { return not_found("config.json: \"{}\" is missing", key); }

Result<int64_t> as_extent(std::string_view key, const json& found) {
  if (found.is_number_integer()) {
    const auto number = found.get<int64_t>();
    if (number >= 1 && number <= kMaxExtent) return number;
  }
  return wrong(key, found, fmt::format("an integer from 1 to {}", kMaxExtent));
}

Result<double> as_number(std::string_view key, const json& found) {
  // Float is what every reader of the metadata will have.
  if (found.is_number() && std::isfinite(found.get<float>())) return found.get<double>();
  return wrong(key, found, "a number");
}

}  // namespace

const json* HfConfig::value(std::string_view key) const {
  if (!json_->is_object()) return nullptr;
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

Result<int64_t> HfConfig::integer(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    if (const json* found = value(key)) return as_extent(key, *found);
  }
  return missing(*keys.begin());
}

Result<int64_t> HfConfig::integer(std::initializer_list<const char*> keys, int64_t fallback) const {
  for (const char* key : keys) {
    if (const json* found = value(key)) return as_extent(key, *found);
  }
  return fallback;
}

Result<double> HfConfig::number(const char* key) const {
  const json* found = value(key);
  return found == nullptr ? Result<double>(missing(key)) : as_number(key, *found);
}

Result<double> HfConfig::number(const char* key, double fallback) const {
  const json* found = value(key);
  return found == nullptr ? Result<double>(fallback) : as_number(key, *found);
}

Result<bool> HfConfig::boolean(const char* key, bool fallback) const {
  const json* found = value(key);
  if (found == nullptr) return fallback;
  if (!found->is_boolean()) return wrong(key, *found, "true or false");
  return found->get<bool>();
}

Result<std::string> HfConfig::string(const char* key, std::string_view fallback) const {
  const json* found = value(key);
  if (found == nullptr) return std::string(fallback);
  if (!found->is_string()) return wrong(key, *found, "a string");
  return found->get<std::string>();
}

Result<std::vector<double>> HfConfig::numbers(const char* key) const {
  const json* found = value(key);
  if (found == nullptr) return missing(key);
  if (!found->is_array()) return wrong(key, *found, "an array of numbers");
  std::vector<double> numbers;
  for (const json& item : *found) {
    PARE_ASSIGN_OR_RETURN(const double number, as_number(key, item));
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::vector<std::string>> HfConfig::strings(const char* key) const {
  const json* found = value(key);
  if (found == nullptr) return missing(key);
  if (!found->is_array()) return wrong(key, *found, "an array of strings");
  std::vector<std::string> strings;
  for (const json& item : *found) {
    if (!item.is_string()) return wrong(key, item, "a string");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

Result<std::optional<HfConfig>> HfConfig::object(const char* key) const {
  const json* found = value(key);
  if (found == nullptr) return std::optional<HfConfig>();
  if (!found->is_object()) return wrong(key, *found, "an object");
  return std::optional<HfConfig>(HfConfig(*found));
}

Result<int64_t> KeyReader::integer(std::string_view suffix, int64_t min, int64_t max) const {
  const std::string name = key(suffix);
  const gguf::Value* value = metadata_.find(name);
  if (value == nullptr) return not_found("metadata: {} is missing", name);
  std::optional<int64_t> number = value->number<int64_t>();
  if (const gguf::Array* array = value->array(); array != nullptr && array->size() > 0) {
    number = array->number<int64_t>(0);
    for (size_t i = 1; i < array->size() && number; ++i) {
      if (array->number<int64_t>(i) != number) {
        return unsupported("metadata: {} differs between blocks, which is not supported", name);
      }
    }
  }
  if (!number || *number < min || *number > max) {
    return corrupt("metadata: {} is {}, expected an integer from {} to {}", name,
                   value->to_string(), min, max);
  }
  return *number;
}

Result<int64_t> KeyReader::integer_or(std::string_view suffix, int64_t fallback, int64_t min,
                                      int64_t max) const {
  return has(suffix) ? integer(suffix, min, max) : Result<int64_t>(fallback);
}

Result<float> KeyReader::real(std::string_view suffix) const {
  const std::string name = key(suffix);
  const gguf::Value* value = metadata_.find(name);
  if (value == nullptr) return not_found("metadata: {} is missing", name);
  const std::optional<float> number = value->number<float>();
  if (!number || !std::isfinite(*number)) {
    return corrupt("metadata: {} is {}, expected a finite number", name, value->to_string());
  }
  return *number;
}

Result<float> KeyReader::real_or(std::string_view suffix, float fallback) const {
  return has(suffix) ? real(suffix) : Result<float>(fallback);
}

Result<std::string> KeyReader::string_or(std::string_view suffix, std::string_view fallback) const {
  return metadata_.get_string(key(suffix), fallback);
}

json json_float(float value) {
  // fmt prints the shortest decimal that reads back as this float; as a double it is then the
  // number that a person wrote (1e-05, not 9.99999974737875e-06).
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

}  // namespace pare

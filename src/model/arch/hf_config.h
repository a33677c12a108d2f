// Typed access to both descriptions of a model: config.json, and the metadata keys of one
// architecture. Every number is checked: errors name the key, what was found and what would do.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/gguf/metadata.h"

namespace pare {

// No count of heads, blocks, columns or tokens is larger: products of two fit in 64 bits.
inline constexpr int64_t kMaxExtent = int64_t{1} << 27;

// A view: the JSON must outlive it.
class HfConfig {
 public:
  explicit HfConfig(const nlohmann::json& config) : json_(&config) {}

  bool has(std::string_view key) const { return value(key) != nullptr; }

  // The first of `keys` that is there and not null. Integers must lie in [1, kMaxExtent].
  Result<int64_t> integer(std::initializer_list<const char*> keys) const;
  Result<int64_t> integer(std::initializer_list<const char*> keys, int64_t fallback) const;
  Result<double> number(const char* key) const;
  Result<double> number(const char* key, double fallback) const;
  Result<bool> boolean(const char* key, bool fallback) const;
  Result<std::string> string(const char* key, std::string_view fallback) const;
  Result<std::vector<double>> numbers(const char* key) const;
  Result<std::vector<std::string>> strings(const char* key) const;
  // A nested object; nullopt if absent or null.
  Result<std::optional<HfConfig>> object(const char* key) const;

 private:
  const nlohmann::json* value(std::string_view key) const;
  const nlohmann::json* json_;
};

// Reads the keys of one architecture: "block_count" is "llama.block_count".
class KeyReader {
 public:
  KeyReader(const gguf::Metadata& metadata, std::string arch)
      : metadata_(metadata), arch_(std::move(arch)) {}

  const gguf::Metadata& metadata() const { return metadata_; }
  std::string key(std::string_view suffix) const { return arch_ + "." + std::string(suffix); }
  bool has(std::string_view suffix) const { return metadata_.contains(key(suffix)); }

  // An array with the same number for every block reads as that number.
  Result<int64_t> integer(std::string_view suffix, int64_t min = 1, int64_t max = kMaxExtent) const;
  Result<int64_t> integer_or(std::string_view suffix, int64_t fallback, int64_t min = 0,
                             int64_t max = kMaxExtent) const;
  Result<float> real(std::string_view suffix) const;  // finite
  Result<float> real_or(std::string_view suffix, float fallback) const;
  Result<std::string> string_or(std::string_view suffix, std::string_view fallback) const;

 private:
  const gguf::Metadata& metadata_;
  std::string arch_;
};

class KeyWriter {
 public:
  KeyWriter(gguf::Metadata* metadata, std::string arch)
      : metadata_(*metadata), arch_(std::move(arch)) {}

  void integer(std::string_view suffix, int64_t value) {
    metadata_.set(key(suffix), static_cast<uint32_t>(value));
  }
  void real(std::string_view suffix, double value) {
    metadata_.set(key(suffix), static_cast<float>(value));
  }
  void string(std::string_view suffix, std::string_view value) {
    metadata_.set(key(suffix), gguf::Value(value));
  }
  void array(std::string_view suffix, gguf::Array value) {
    metadata_.set(key(suffix), gguf::Value(std::move(value)));
  }

 private:
  std::string key(std::string_view suffix) const { return arch_ + "." + std::string(suffix); }
  gguf::Metadata& metadata_;
  std::string arch_;
};

// A float as JSON that reads back as the same float: the shortest such decimal.
nlohmann::json json_float(float value);

}  // namespace pare

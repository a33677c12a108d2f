// A Hugging Face model directory: config.json, safetensors, tokenizer files, chat templates.
//
// Small files are read when the directory is opened, large ones (tokenizer.json) when asked
// for. Directories come from the network: JSON is parsed strictly and with bounded nesting,
// shards must lie inside, pickled weights are refused. Immutable after opening.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/safetensors/reader.h"

namespace pare {

struct HfOptions {
  // false: config.json and weights may be absent (a tokenizer alone).
  bool weights = true;
};

class HfDirectory {
 public:
  static Result<std::shared_ptr<const HfDirectory>> open(const std::string& path,
                                                         const HfOptions& options = {});

  struct ChatTemplate {
    std::string name;  // "default", "tool_use"
    std::string text;  // Jinja
  };

  const std::string& path() const { return path_; }
  // Objects all; null where the file is absent.
  const nlohmann::json& config() const { return config_; }
  const nlohmann::json& generation_config() const { return generation_config_; }
  const nlohmann::json& tokenizer_config() const { return tokenizer_config_; }
  const nlohmann::json& special_tokens_map() const { return special_tokens_map_; }

  // chat_template.jinja, else what tokenizer_config.json has; the default one first.
  const std::vector<ChatTemplate>& chat_templates() const { return chat_templates_; }
  const std::string* default_chat_template() const;  // null if there is none

  // The weights under their own names; null if opened without.
  const std::shared_ptr<const safetensors::File>& tensors() const { return tensors_; }

  // Any other file at the top of the directory ("tokenizer.json", "tokenizer.model").
  bool has(std::string_view name) const;
  Result<std::shared_ptr<const MappedFile>> open_file(std::string_view name) const;
  Result<nlohmann::json> read_json_file(std::string_view name) const;

 private:
  HfDirectory() = default;
  std::string file(std::string_view name) const;
  Result<nlohmann::json> optional_object(std::string_view name) const;
  Status open_tensors();
  Status read_chat_templates();

  std::string path_;
  nlohmann::json config_, generation_config_, tokenizer_config_, special_tokens_map_;
  std::vector<ChatTemplate> chat_templates_;
  std::shared_ptr<const safetensors::File> tensors_;
};

}  // namespace pare

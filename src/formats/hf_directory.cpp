#include "formats/hf_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "formats/json.h"

namespace pare {
namespace {

using nlohmann::json;

constexpr uint32_t kMaxShards = 99'999;
constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 24;

// Names of the regular files at the top of a directory, sorted.
Result<std::vector<std::string>> list_files(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(path, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
  }
  if (error) return io_error("{}: cannot list the directory: {}", path, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

// What "model-00002-of-00005.safetensors" says of itself.
struct ShardName {
  uint32_t number = 0;
  uint32_t count = 0;
};
std::optional<ShardName> parse_shard_name(std::string_view name) {
  constexpr std::string_view kPrefix = "model-", kOf = "-of-", kSuffix = ".safetensors";
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  const size_t of = name.find(kOf);
  if (of == name.npos) return std::nullopt;
  const auto number = [](std::string_view text) -> uint32_t {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : 0;
  };
  const ShardName shard{number(name.substr(0, of)), number(name.substr(of + kOf.size()))};
  if (shard.number == 0 || shard.number > shard.count || shard.count > kMaxShards)
    return std::nullopt;
  return shard;
}

// Why a directory without the safetensors that we look for cannot be read.
Status no_weights(const std::string& path, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool pickle = name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") ||
                        name.ends_with(".ckpt");
    if (pickle && name != "training_args.bin") {
      return unsupported(
          "{}: has weights only in pickled form ({}), which can run code when it is loaded and is "
          "never read: convert to safetensors first, for instance with transformers' "
          "save_pretrained(..., safe_serialization=True)",
          path, name);
    }
  }
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) {
      return not_found("{}: has no safetensors, but {}: name that file instead", path, name);
    }
  }
  return not_found(
      "{}: has no weights: expected model.safetensors, or model.safetensors.index.json with its "
      "shards",
      path);
}

}  // namespace

std::string HfDirectory::file(std::string_view name) const {
  return (std::filesystem::path(path_) / name).string();
}
bool HfDirectory::has(std::string_view name) const { return file_exists(file(name)); }

Result<std::shared_ptr<const MappedFile>> HfDirectory::open_file(std::string_view name) const {
  return MappedFile::open(file(name));
}
Result<json> HfDirectory::read_json_file(std::string_view name) const {
  return read_json(file(name));
}

Result<json> HfDirectory::optional_object(std::string_view name) const {
  if (!has(name)) return json();
  PARE_ASSIGN_OR_RETURN(json value, read_json_file(name));
  if (!value.is_object()) {
    return corrupt("{}: found {}, expected an object", file(name), value.type_name());
  }
  return value;
}

Result<std::shared_ptr<const HfDirectory>> HfDirectory::open(const std::string& path,
                                                             const HfOptions& options) {
  if (!directory_exists(path)) return not_found("{}: no such directory", path);
  std::shared_ptr<HfDirectory> directory(new HfDirectory);
  directory->path_ = path;
  if (options.weights && !directory->has("config.json")) {
    return not_found("{}: has no config.json: not a Hugging Face model directory", path);
  }
  PARE_ASSIGN_OR_RETURN(directory->config_, directory->optional_object("config.json"));
  PARE_ASSIGN_OR_RETURN(directory->generation_config_,
                        directory->optional_object("generation_config.json"));
  PARE_ASSIGN_OR_RETURN(directory->tokenizer_config_,
                        directory->optional_object("tokenizer_config.json"));
  PARE_ASSIGN_OR_RETURN(directory->special_tokens_map_,
                        directory->optional_object("special_tokens_map.json"));
  PARE_RETURN_IF_ERROR(directory->read_chat_templates());
  if (options.weights) PARE_RETURN_IF_ERROR(directory->open_tensors());
  return std::shared_ptr<const HfDirectory>(std::move(directory));
}

Status HfDirectory::open_tensors() {
  // The same order of preference as transformers.
  if (has("model.safetensors")) {
    PARE_ASSIGN_OR_RETURN(tensors_, safetensors::File::open(file("model.safetensors")));
    return {};
  }
  if (has("model.safetensors.index.json")) {
    PARE_ASSIGN_OR_RETURN(tensors_,
                          safetensors::File::open_index(file("model.safetensors.index.json")));
    return {};
  }
  // Shards without their index are as good, if all are there.
  PARE_ASSIGN_OR_RETURN(const auto names, list_files(path_));
  std::vector<std::string> shards;
  std::vector<bool> present;
  for (const std::string& name : names) {
    const auto shard = parse_shard_name(name);
    if (!shard) continue;
    if (shards.empty()) present.assign(shard->count, false);
    if (shard->count != present.size()) {
      return corrupt("{}: {} is one of {} shards, but {} is one of {}", path_, name, shard->count,
                     shards[0], present.size());
    }
    present[shard->number - 1] = true;
    shards.push_back(file(name));
  }
  if (shards.empty()) return no_weights(path_, names);
  const auto missing = std::find(present.begin(), present.end(), false);
  if (missing != present.end()) {
    return not_found("{}: shard model-{:05}-of-{:05}.safetensors is missing", path_,
                     missing - present.begin() + 1, present.size());
  }
  PARE_ASSIGN_OR_RETURN(tensors_, safetensors::File::open_all(shards));
  return {};
}

Status HfDirectory::read_chat_templates() {
  const auto add = [this](std::string name, std::string text) {
    // transformers lets the file win over the configuration's entry of the same name.
    for (const ChatTemplate& t : chat_templates_) {
      if (t.name == name) return;
    }
    const auto at = name == "default" ? chat_templates_.begin() : chat_templates_.end();
    chat_templates_.insert(at, {std::move(name), std::move(text)});
  };
  if (has("chat_template.jinja")) {
    PARE_ASSIGN_OR_RETURN(std::string text,
                          read_text(file("chat_template.jinja"), kMaxTemplateBytes));
    add("default", std::move(text));
  }
  const auto it = tokenizer_config_.find("chat_template");
  if (it == tokenizer_config_.end() || it->is_null()) return {};
  if (it->is_string()) {
    add("default", it->get<std::string>());
    return {};
  }
  const auto bad = [this](std::string_view found) {
    return corrupt(
        "{}: chat_template: found {}, expected a string or an array of objects with the strings "
        "name and template",
        file("tokenizer_config.json"), found);
  };
  if (!it->is_array()) return bad(it->type_name());
  for (const json& item : *it) {
    if (!item.is_object()) return bad(item.type_name());
    const auto name = item.find("name"), text = item.find("template");
    if (name == item.end() || text == item.end() || !name->is_string() || !text->is_string()) {
      return bad("an object without them");
    }
    add(name->get<std::string>(), text->get<std::string>());
  }
  return {};
}

const std::string* HfDirectory::default_chat_template() const {
  if (chat_templates_.empty() || chat_templates_[0].name != "default") return nullptr;
  return &chat_templates_[0].text;
}

}  // namespace pare

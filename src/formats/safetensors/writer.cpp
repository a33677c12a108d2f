#include "formats/safetensors/writer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "base/byte_reader.h"
#include "codecs/codec.h"
#include "formats/json.h"
#include "formats/safetensors/header.h"

namespace pare::safetensors {
namespace {

constexpr std::string_view kSuffix = ".safetensors";
constexpr uint64_t kAlignment = 8;  // of the data section: the widest element
constexpr uint64_t kMaxShards = 99'999;

// One tensor, ready to be placed.
struct Item {
  std::string quoted;  // its name in JSON
  uint64_t bytes = 0;
};

std::string entry_text(const Item& item, const TensorSpec& spec, uint64_t begin) {
  return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", item.quoted,
                     dtype_info(spec.dtype).name, fmt::join(spec.shape.dims(), ","), begin,
                     begin + item.bytes);
}

class Planner {
 public:
  Planner(std::span<const TensorSpec> tensors, const LayoutOptions& options)
      : tensors_(tensors), options_(options) {}

  Result<FileSet> plan(const std::string& path) {
    PARE_RETURN_IF_ERROR(prepare());
    set_.places.resize(tensors_.size());
    std::vector<size_t> all(tensors_.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = i;
    const uint64_t limit = options_.max_shard_bytes;
    if (limit == 0 || upper_bound(all) <= limit) {
      PARE_RETURN_IF_ERROR(add_file(path, all));
      return std::move(set_);
    }
    PARE_ASSIGN_OR_RETURN(const auto shards, divide(limit));
    std::string prefix = path;
    if (prefix.ends_with(kSuffix)) prefix.resize(prefix.size() - kSuffix.size());
    set_.files.push_back({prefix + std::string(kSuffix) + ".index.json", "", 0});
    for (size_t s = 0; s < shards.size(); ++s) {
      PARE_RETURN_IF_ERROR(add_file(
          fmt::format("{}-{:05}-of-{:05}{}", prefix, s + 1, shards.size(), kSuffix), shards[s]));
    }
    PARE_ASSIGN_OR_RETURN(set_.files[0].header, index_text());
    set_.files[0].bytes = set_.files[0].header.size();
    return std::move(set_);
  }

 private:
  Status prepare() {
    std::unordered_set<std::string_view> names;
    for (const TensorSpec& spec : tensors_) {
      if (spec.name.empty() || spec.name == kMetadataKey || !names.insert(spec.name).second) {
        return invalid_argument("tensor \"{}\": the name is empty, reserved or occurs twice",
                                spec.name);
      }
      Item item;
      auto quoted = json_quote(spec.name);
      if (!quoted.ok()) return quoted.status().with_context("a tensor name");
      item.quoted = *std::move(quoted);
      const auto bits = static_cast<uint64_t>(dtype_info(spec.dtype).bits);
      uint64_t total = 0;
      if (!checked_mul(static_cast<uint64_t>(spec.shape.elements()), bits, &total) ||
          total % 8 != 0) {
        return invalid_argument("tensor {}: {} of {} is not a countable number of bytes", spec.name,
                                spec.shape.to_string(), dtype_info(spec.dtype).name);
      }
      item.bytes = total / 8;
      items_.push_back(std::move(item));
    }
    if (!options_.metadata.empty()) {
      std::vector<std::string> pairs;
      for (const auto& [key, value] : options_.metadata) {
        PARE_ASSIGN_OR_RETURN(const std::string quoted_key, json_quote(key));
        PARE_ASSIGN_OR_RETURN(const std::string quoted_value, json_quote(value));
        pairs.push_back(quoted_key + ":" + quoted_value);
      }
      metadata_ = fmt::format("\"{}\":{{{}}}", kMetadataKey, fmt::join(pairs, ","));
    }
    return {};
  }

  // Of a file with these tensors; at most 40 bytes each too much, for offsets not known yet.
  uint64_t upper_bound(std::span<const size_t> indices) const {
    uint64_t bytes = fixed_bytes();
    for (size_t i : indices) bytes += upper_bound(i);
    return bytes;
  }
  uint64_t upper_bound(size_t i) const {
    constexpr uint64_t kWidestOffset = UINT64_MAX / 2;
    return entry_text(items_[i], tensors_[i], kWidestOffset).size() + 1 + items_[i].bytes;
  }
  uint64_t fixed_bytes() const { return 8 + 2 + metadata_.size() + 1 + kAlignment; }

  Result<std::vector<std::vector<size_t>>> divide(uint64_t limit) const {
    std::vector<std::vector<size_t>> shards;
    uint64_t used = 0;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const uint64_t more = upper_bound(i);
      if (fixed_bytes() + more > limit) {
        return invalid_argument("tensor {} needs a file of {} bytes, more than the limit of {}",
                                tensors_[i].name, fixed_bytes() + more, limit);
      }
      if (shards.empty() || used + more > limit) {
        shards.emplace_back();
        used = fixed_bytes();
      }
      shards.back().push_back(i);
      used += more;
    }
    if (shards.size() > kMaxShards) {
      return invalid_argument("files of {} bytes make {} shards, at most {} are possible", limit,
                              shards.size(), kMaxShards);
    }
    return shards;
  }

  Status add_file(std::string path, std::vector<size_t> indices) {
    std::stable_sort(indices.begin(), indices.end(), [&](size_t a, size_t b) {
      return dtype_info(tensors_[a].dtype).bits > dtype_info(tensors_[b].dtype).bits;
    });
    const auto file = static_cast<uint32_t>(set_.files.size());
    std::string text = "{" + metadata_;
    uint64_t offset = 0;
    for (size_t i : indices) {
      if (text.size() > 1) text += ',';
      text += entry_text(items_[i], tensors_[i], offset);
      set_.places[i] = {tensors_[i].name, file, offset, items_[i].bytes};
      offset += items_[i].bytes;
    }
    text += '}';
    text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
    if (text.size() > kMaxHeaderBytes) {
      return invalid_argument("{}: a header of {} bytes, at most {} are allowed", path, text.size(),
                              kMaxHeaderBytes);
    }
    const uint64_t length = text.size();
    std::string header(reinterpret_cast<const char*>(&length), sizeof(length));
    header += text;
    for (size_t i : indices) set_.places[i].offset += header.size();
    const uint64_t bytes = header.size() + offset;
    set_.files.push_back({std::move(path), std::move(header), bytes});
    return {};
  }

  Result<std::string> index_text() const {
    uint64_t total = 0;
    std::vector<std::string> lines;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      total += items_[i].bytes;
      const std::filesystem::path shard(set_.files[set_.places[i].file].path);
      PARE_ASSIGN_OR_RETURN(const std::string file, json_quote(shard.filename().string()));
      lines.push_back(fmt::format("    {}: {}", items_[i].quoted, file));
    }
    return fmt::format(
        "{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{\n{}\n  "
        "}}\n}}\n",
        total, fmt::join(lines, ",\n"));
  }

  std::span<const TensorSpec> tensors_;
  const LayoutOptions& options_;
  std::vector<Item> items_;
  std::string metadata_;  // the header's __metadata__ member, or empty
  FileSet set_;
};

}  // namespace

Result<FileSet> plan_files(const std::string& path, std::span<const TensorSpec> tensors,
                           const LayoutOptions& options) {
  return Planner(tensors, options).plan(path);
}

Result<std::vector<TensorSpec>> specs_of(std::span<const TensorInfo> tensors) {
  std::vector<TensorSpec> specs;
  for (const TensorInfo& info : tensors) {
    const DtypeInfo* dtype = find_dtype_for_codec(info.codec);
    if (dtype == nullptr) {
      return unsupported("tensor {}: safetensors has no dtype for {}", info.name,
                         codec(info.codec).name);
    }
    specs.push_back({info.name, dtype->dtype, info.shape});
  }
  return specs;
}

}  // namespace pare::safetensors

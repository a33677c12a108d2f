#include "formats/gguf/reader.h"

#include <unordered_set>

#include "formats/gguf/format.h"
#include "formats/gguf/part.h"

namespace pare::gguf {
namespace {

// What a part says about its place among the others; count 1 for a file that is not split.
struct SplitKeys {
  uint32_t number = 0;
  uint32_t count = 1;
  int64_t tensors = -1;  // of all parts, -1: not said
};

Result<SplitKeys> split_keys(const Part& part) {
  SplitKeys keys;
  const auto read = [&]() -> Status {
    PARE_ASSIGN_OR_RETURN(keys.count, part.metadata.get_u32(kKeySplitCount, 1));
    PARE_ASSIGN_OR_RETURN(keys.number, part.metadata.get_u32(kKeySplitNo, 0));
    PARE_ASSIGN_OR_RETURN(keys.tensors, part.metadata.get_i64(kKeySplitTensors, -1));
    return {};
  };
  PARE_RETURN_IF_ERROR(read().with_context(part.file->path()));
  if (keys.count == 0) keys.count = 1;  // a tool's placeholder for "not split"
  return keys;
}

Result<Part> open_part(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  return parse_part(std::move(file));
}

// The parts of the split model that `first` belongs to, in order.
Result<std::vector<Part>> open_parts(Part first, const SplitKeys& keys) {
  const std::string path = first.file->path();
  const auto name = parse_part_path(path);
  if (!name || name->count != keys.count || name->number != keys.number + 1) {
    return corrupt("{}: is part {} of {}, so its name should end in {}", path, keys.number + 1,
                   keys.count, part_path("", keys.number + 1, keys.count));
  }
  std::vector<Part> parts;
  for (uint32_t i = 0; i < keys.count; ++i) {
    if (i == keys.number) {
      parts.push_back(std::move(first));
      continue;
    }
    const std::string other = part_path(name->prefix, i + 1, keys.count);
    auto opened = open_part(other);
    if (!opened.ok()) return opened.status().with_context(fmt::format("opening {}", path));
    PARE_ASSIGN_OR_RETURN(const SplitKeys found, split_keys(*opened));
    if (found.number != i || found.count != keys.count || found.tensors != keys.tensors) {
      return corrupt("{}: says part {} of {} with {} tensors in all, expected {} of {} with {}",
                     other, found.number + 1, found.count, found.tensors, i + 1, keys.count,
                     keys.tensors);
    }
    parts.push_back(*std::move(opened));
  }
  return parts;
}

}  // namespace

Result<std::shared_ptr<const File>> File::open(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  return parse(std::move(file));
}

Result<std::shared_ptr<const File>> File::parse(std::shared_ptr<const MappedFile> mapped) {
  PARE_ASSIGN_OR_RETURN(Part first, parse_part(std::move(mapped)));
  PARE_ASSIGN_OR_RETURN(const SplitKeys keys, split_keys(first));
  std::vector<Part> parts;
  if (keys.count > 1) {
    PARE_ASSIGN_OR_RETURN(parts, open_parts(std::move(first), keys));
  } else {
    parts.push_back(std::move(first));
  }

  std::shared_ptr<File> model(new File);
  model->metadata_ = std::move(parts[0].metadata);
  model->version_ = parts[0].version;
  model->alignment_ = parts[0].alignment;
  for (uint32_t p = 0; p < parts.size(); ++p) {
    for (size_t i = 0; i < parts[p].tensors.size(); ++i) {
      model->tensors_.push_back(std::move(parts[p].tensors[i]));
      model->places_.push_back({p, parts[p].offsets[i]});
    }
    model->files_.push_back(std::move(parts[p].file));
  }
  const std::string& path = model->files_[0]->path();
  if (keys.tensors >= 0 && static_cast<uint64_t>(keys.tensors) != model->tensors_.size()) {
    return corrupt("{}: {} is {}, but {} tensors were found", path, kKeySplitTensors, keys.tensors,
                   model->tensors_.size());
  }
  if (parts.size() > 1) {
    std::unordered_set<std::string_view> names;
    for (const TensorInfo& info : model->tensors_) {
      if (!names.insert(info.name).second) {
        return corrupt("{}: tensor {} is in more than one part", path, info.name);
      }
    }
  }
  for (std::string_view key : {kKeySplitNo, kKeySplitCount, kKeySplitTensors}) {
    model->metadata_.erase(key);
  }
  return std::shared_ptr<const File>(std::move(model));
}

uint64_t File::file_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_) sum += file->bytes().size();
  return sum;
}

std::span<const std::byte> File::bytes(size_t index) const {
  const Place at = places_[index];
  return files_[at.part]->bytes().subspan(static_cast<size_t>(at.offset),
                                          static_cast<size_t>(tensors_[index].bytes));
}

Result<PackedTensor> File::read(size_t index) const {
  PARE_CHECK(index < tensors_.size(), "no such tensor");
  const TensorInfo& info = tensors_[index];
  return PackedTensor{info.codec, info.shape, bytes(index), files_[places_[index].part]};
}

void File::release(size_t index) const {
  PARE_CHECK(index < tensors_.size(), "no such tensor");
  files_[places_[index].part]->release(bytes(index));
}

}  // namespace pare::gguf

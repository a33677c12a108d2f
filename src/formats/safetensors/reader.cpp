#include "formats/safetensors/reader.h"

#include <filesystem>
#include <set>
#include <unordered_set>

#include "base/byte_reader.h"
#include "formats/json.h"
#include "formats/safetensors/header.h"

namespace pare::safetensors {
namespace {

// The codec that stands in for a dtype that has none: same width, never decoded.
CodecId stand_in(const DtypeInfo& dtype) {
  switch (dtype.bits) {
    case 16:
      return CodecId::kI16;
    case 32:
      return CodecId::kI32;
    case 64:
      return CodecId::kI64;
    default:
      return CodecId::kI8;
  }
}

// A shard's name comes from a file that is not trusted: it must not lead out of the directory.
// (Links are followed: that is how the hub's cache keeps its files.)
bool stays_inside(const std::string& shard) {
  const std::filesystem::path path(shard);
  if (shard.empty() || shard.find('\0') != std::string::npos) return false;
  if (shard.find('\\') != std::string::npos || path.has_root_path()) return false;
  for (const auto& component : path) {
    if (component == "..") return false;
  }
  return true;
}

Result<std::map<std::string, std::string>> read_weight_map(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(const std::string text, read_text(path, kMaxHeaderBytes));
  PARE_ASSIGN_OR_RETURN(const nlohmann::json index, parse_json(text, path));
  const auto it = index.is_object() ? index.find("weight_map") : index.end();
  if (it == index.end() || !it->is_object()) {
    return corrupt("{}: has no weight_map object", path);
  }
  std::map<std::string, std::string> map;
  for (const auto& [name, shard] : it->items()) {
    if (!shard.is_string()) {
      return corrupt("{}: weight_map: {}: found {}, expected a file name", path, name,
                     shard.type_name());
    }
    const auto& file = shard.get_ref<const std::string&>();
    if (!stays_inside(file)) {
      return corrupt("{}: weight_map: {}: the path \"{}\" leads out of the directory", path, name,
                     file);
    }
    map.emplace(name, file);
  }
  return map;
}

}  // namespace

Result<std::shared_ptr<const File>> File::open(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  return parse(std::move(file));
}

Result<std::shared_ptr<const File>> File::parse(std::shared_ptr<const MappedFile> mapped) {
  std::shared_ptr<File> file(new File);
  PARE_RETURN_IF_ERROR(file->add(std::move(mapped), nullptr, ""));
  return std::shared_ptr<const File>(std::move(file));
}

Result<std::shared_ptr<const File>> File::open_all(const std::vector<std::string>& paths) {
  std::shared_ptr<File> file(new File);
  for (const std::string& path : paths) {
    PARE_ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
    PARE_RETURN_IF_ERROR(file->add(std::move(mapped), nullptr, ""));
  }
  PARE_RETURN_IF_ERROR(file->check_unique_names());
  return std::shared_ptr<const File>(std::move(file));
}

Result<std::shared_ptr<const File>> File::open_index(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(const auto map, read_weight_map(path));
  std::set<std::string> shards;
  for (const auto& [name, shard] : map) shards.insert(shard);
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::string missing;
  for (const std::string& shard : shards) {
    if (file_exists((directory / shard).string())) continue;
    missing += (missing.empty() ? "" : ", ") + shard;
  }
  if (!missing.empty()) {
    return not_found("{}: these shards are missing from the directory: {}", path, missing);
  }

  std::shared_ptr<File> file(new File);
  for (const std::string& shard : shards) {
    PARE_ASSIGN_OR_RETURN(auto mapped, MappedFile::open((directory / shard).string()));
    PARE_RETURN_IF_ERROR(file->add(std::move(mapped), &map, shard));
  }
  if (file->tensors_.size() != map.size()) {
    std::unordered_set<std::string_view> found;
    for (const TensorInfo& info : file->tensors_) found.insert(info.name);
    for (const auto& [name, shard] : map) {
      if (!found.contains(name)) {
        return corrupt("{}: weight_map: tensor {} is not in {}", path, name, shard);
      }
    }
  }
  return std::shared_ptr<const File>(std::move(file));
}

Status File::add(std::shared_ptr<const MappedFile> file,
                 const std::map<std::string, std::string>* wanted, const std::string& shard) {
  ByteReader in(file->bytes(), file->path());
  PARE_ASSIGN_OR_RETURN(const uint64_t length, in.number<uint64_t>("the header's length"));
  if (length > kMaxHeaderBytes) {
    return corrupt("{}: a header of {} bytes, at most {} are allowed", file->path(), length,
                   kMaxHeaderBytes);
  }
  PARE_ASSIGN_OR_RETURN(const auto text, in.bytes(length, "the header"));
  PARE_ASSIGN_OR_RETURN(Header header,
                        parse_header({reinterpret_cast<const char*>(text.data()), text.size()},
                                     in.remaining(), file->path()));
  const auto part = static_cast<uint32_t>(files_.size());
  for (Entry& entry : header.entries) {
    if (wanted != nullptr) {
      const auto it = wanted->find(entry.name);
      if (it == wanted->end() || it->second != shard) continue;
    }
    const DtypeInfo& dtype = dtype_info(entry.dtype);
    places_.push_back({part, entry.dtype, in.offset() + entry.begin});
    tensors_.push_back({std::move(entry.name), entry.shape, dtype.codec.value_or(stand_in(dtype)),
                        entry.end - entry.begin});
  }
  metadata_.merge(header.metadata);
  files_.push_back(std::move(file));
  return {};
}

Status File::check_unique_names() const {
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (names.insert(tensors_[i].name).second) continue;
    return corrupt("{}: tensor {} is in more than one file", files_[places_[i].part]->path(),
                   tensors_[i].name);
  }
  return {};
}

uint64_t File::file_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_) sum += file->bytes().size();
  return sum;
}

std::span<const std::byte> File::raw(size_t index) const {
  PARE_CHECK(index < tensors_.size(), "no such tensor");
  const Place& place = places_[index];
  return files_[place.part]->bytes().subspan(static_cast<size_t>(place.offset),
                                             static_cast<size_t>(tensors_[index].bytes));
}

Result<PackedTensor> File::read(size_t index) const {
  const auto bytes = raw(index);
  const TensorInfo& info = tensors_[index];
  const Place& place = places_[index];
  const DtypeInfo& dtype = dtype_info(place.dtype);
  if (!dtype.codec) {
    return unsupported("{}: tensor {}: dtype {} cannot be decoded", files_[place.part]->path(),
                       info.name, dtype.name);
  }
  return PackedTensor{info.codec, info.shape, bytes, files_[place.part]};
}

void File::release(size_t index) const { files_[places_[index].part]->release(raw(index)); }

}  // namespace pare::safetensors

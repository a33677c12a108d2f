#include "formats/gguf/writer.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/byte_reader.h"
#include "codecs/codec.h"
#include "formats/gguf/format.h"

namespace pare::gguf {
namespace {

constexpr uint64_t kFixedBytes = 4 + 4 + 8 + 8;  // magic, version, two counts
constexpr uint64_t kMaxParts = UINT16_MAX;       // split.count is a u16

uint64_t info_bytes(const TensorInfo& info) {
  return 8 + info.name.size() + 4 + 8 * static_cast<uint64_t>(info.shape.rank()) + 4 + 8;
}

// Appends values in the file's form.
class Emitter {
 public:
  template <Number T>
  void number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void text(std::string_view value) {
    number<uint64_t>(value.size());
    out_.append(value);
  }
  void array(const Array& value) {
    number(static_cast<uint32_t>(value.element_type()));
    number<uint64_t>(value.size());
    if (value.is_string()) {
      for (size_t i = 0; i < value.size(); ++i) text(value.string(i));
    } else {
      const auto bytes = value.bytes();
      out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }
  void entry(std::string_view key, const Value& value) {
    text(key);
    number(static_cast<uint32_t>(value.type()));
    std::visit(
        [this](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::same_as<T, std::string>)
            text(v);
          else if constexpr (std::same_as<T, Array>)
            array(v);
          else
            number(v);
        },
        value.variant());
  }
  std::string take() && { return std::move(out_); }

 private:
  std::string out_;
};

bool is_split_key(std::string_view key) {
  return key == kKeySplitNo || key == kKeySplitCount || key == kKeySplitTensors;
}

// The entries of one file, serialised.
struct Entries {
  std::string bytes;
  uint64_t count = 0;

  void add(std::string_view key, const Value& value) {
    Emitter emitter;
    emitter.entry(key, value);
    bytes += std::move(emitter).take();
    ++count;
  }
};

Result<Entries> model_entries(const Metadata& metadata) {
  Entries entries;
  for (const auto& [key, value] : metadata) {
    if (is_split_key(key)) continue;
    if (key.empty() || key.size() > kMaxKey) {
      return invalid_argument("metadata key of {} bytes, expected 1 to {}", key.size(), kMaxKey);
    }
    entries.add(key, value);
  }
  return entries;
}

// Every part says where it stands; parts after the first say nothing else of the model.
Entries part_entries(const Entries& model, const Metadata& metadata, uint64_t part,
                     uint64_t n_parts, uint64_t n_tensors) {
  Entries entries;
  if (part == 0) {
    entries = model;
  } else if (const Value* alignment = metadata.find(kKeyAlignment)) {
    entries.add(kKeyAlignment, *alignment);
  }
  entries.add(kKeySplitNo, Value(static_cast<uint16_t>(part)));
  entries.add(kKeySplitCount, Value(static_cast<uint16_t>(n_parts)));
  entries.add(kKeySplitTensors, Value(static_cast<int32_t>(n_tensors)));
  return entries;
}

Result<uint64_t> tensor_bytes(const TensorInfo& info) {
  const Codec& c = codec(info.codec);
  if (info.name.empty() || info.name.size() > kMaxWrittenName) {
    return invalid_argument("tensor {}: a name of {} bytes, GGUF runtimes read 1 to {}", info.name,
                            info.name.size(), kMaxWrittenName);
  }
  if (info.shape.rank() > static_cast<int>(kMaxRank)) {
    return unsupported("tensor {}: shape {}, GGUF holds at most {} dimensions", info.name,
                       info.shape.to_string(), kMaxRank);
  }
  if (c.gguf_type < 0) {
    return unsupported("tensor {}: GGUF has no type for {}", info.name, c.name);
  }
  if (!c.divides(info.shape.columns())) {
    return invalid_argument("tensor {}: rows of {} values do not divide into {} blocks of {}",
                            info.name, info.shape.columns(), c.name, c.block_len);
  }
  return c.tensor_bytes(info.shape);
}

// Which tensors a file holds: [begin, end).
struct Range {
  size_t begin;
  size_t end;
};

class Planner {
 public:
  Planner(const Metadata& metadata, std::span<const TensorInfo> tensors, uint64_t alignment)
      : metadata_(metadata), tensors_(tensors), alignment_(alignment) {}

  Result<FileSet> plan(const std::string& path, uint64_t max_bytes) {
    PARE_ASSIGN_OR_RETURN(model_, model_entries(metadata_));
    PARE_RETURN_IF_ERROR(measure());
    const Range all{0, tensors_.size()};
    if (max_bytes == 0 || file_bytes(model_, all) <= max_bytes) {
      add_file(path, model_, all);
      return std::move(set_);
    }
    PARE_ASSIGN_OR_RETURN(const std::vector<Range> ranges, split(max_bytes));
    std::string prefix = path;
    if (const auto name = parse_part_path(path))
      prefix = name->prefix;
    else if (path.ends_with(".gguf"))
      prefix.resize(path.size() - 5);
    const auto count = static_cast<uint32_t>(ranges.size());
    for (uint32_t p = 0; p < count; ++p) {
      add_file(part_path(prefix, p + 1, count),
               part_entries(model_, metadata_, p, count, tensors_.size()), ranges[p]);
    }
    return std::move(set_);
  }

 private:
  Status measure() {
    std::unordered_set<std::string_view> names;
    for (const TensorInfo& info : tensors_) {
      if (!names.insert(info.name).second) {
        return invalid_argument("tensor {}: the name occurs twice", info.name);
      }
      PARE_ASSIGN_OR_RETURN(const uint64_t bytes, tensor_bytes(info));
      bytes_.push_back(bytes);
    }
    return {};
  }

  uint64_t file_bytes(const Entries& entries, Range range) const {
    uint64_t head = kFixedBytes + entries.bytes.size();
    uint64_t data = 0;
    for (size_t i = range.begin; i < range.end; ++i) {
      head += info_bytes(tensors_[i]);
      data += align_up(bytes_[i], alignment_);
    }
    return align_up(head, alignment_) + data;
  }

  // Fills parts one after the other. The sizes of split.* keys do not depend on their values.
  Result<std::vector<Range>> split(uint64_t max_bytes) const {
    std::vector<Range> ranges{{0, 0}};
    Entries entries = part_entries(model_, metadata_, 0, 0, 0);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      ranges.back().end = i + 1;
      if (file_bytes(entries, ranges.back()) <= max_bytes) continue;
      // The first part may hold no tensor, if metadata is all that fits.
      ranges.back().end = i;
      ranges.push_back({i, i + 1});
      entries = part_entries(model_, metadata_, 1, 0, 0);
      if (const uint64_t need = file_bytes(entries, ranges.back()); need > max_bytes) {
        return invalid_argument("tensor {} needs a file of {} bytes, more than the limit of {}",
                                tensors_[i].name, need, max_bytes);
      }
    }
    const Entries first = part_entries(model_, metadata_, 0, 0, 0);
    if (const uint64_t need = file_bytes(first, ranges[0]); need > max_bytes) {
      return invalid_argument("the metadata needs a file of {} bytes, more than the limit of {}",
                              need, max_bytes);
    }
    if (ranges.size() > kMaxParts) {
      return invalid_argument("files of {} bytes make {} parts, at most {} are possible", max_bytes,
                              ranges.size(), kMaxParts);
    }
    return ranges;
  }

  void add_file(std::string path, const Entries& entries, Range range) {
    Emitter out;
    out.number(kMagic);
    out.number(kVersion);
    out.number<uint64_t>(range.end - range.begin);
    out.number<uint64_t>(entries.count);
    std::string header = std::move(out).take() + entries.bytes;
    const auto file = static_cast<uint32_t>(set_.files.size());
    uint64_t offset = 0;
    Emitter infos;
    for (size_t i = range.begin; i < range.end; ++i) {
      const TensorInfo& info = tensors_[i];
      infos.text(info.name);
      infos.number(static_cast<uint32_t>(info.shape.rank()));
      for (int d = info.shape.rank(); d-- > 0;) infos.number(info.shape[d]);
      infos.number(static_cast<uint32_t>(codec(info.codec).gguf_type));
      infos.number(offset);
      set_.places.push_back({info.name, file, offset, bytes_[i]});
      offset += align_up(bytes_[i], alignment_);
    }
    header += std::move(infos).take();
    header.resize(align_up(header.size(), alignment_));
    for (size_t i = range.begin; i < range.end; ++i) set_.places[i].offset += header.size();
    const uint64_t bytes = header.size() + offset;
    set_.files.push_back({std::move(path), std::move(header), bytes});
  }

  const Metadata& metadata_;
  std::span<const TensorInfo> tensors_;
  uint64_t alignment_;
  Entries model_;
  std::vector<uint64_t> bytes_;  // of each tensor, without padding
  FileSet set_;
};

}  // namespace

Result<uint64_t> alignment_of(const Metadata& metadata) {
  const Value* value = metadata.find(kKeyAlignment);
  if (value == nullptr) return kDefaultAlignment;
  const auto alignment = value->number<uint32_t>();
  if (value->type() != ValueType::kU32 || !std::has_single_bit(*alignment) ||
      *alignment > kMaxAlignment) {
    return invalid_argument("{} is {} ({}), expected a u32 that is a power of two up to {}",
                            kKeyAlignment, value->to_string(), value->type_name(), kMaxAlignment);
  }
  return *alignment;
}

Result<uint64_t> header_bytes(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  PARE_ASSIGN_OR_RETURN(const uint64_t alignment, alignment_of(metadata));
  PARE_ASSIGN_OR_RETURN(const Entries entries, model_entries(metadata));
  uint64_t bytes = kFixedBytes + entries.bytes.size();
  for (const TensorInfo& info : tensors) bytes += info_bytes(info);
  return align_up(bytes, alignment);
}

Result<FileSet> plan_files(const std::string& path, const Metadata& metadata,
                           std::span<const TensorInfo> tensors, const LayoutOptions& options) {
  PARE_ASSIGN_OR_RETURN(const uint64_t alignment, alignment_of(metadata));
  return Planner(metadata, tensors, alignment).plan(path, options.split_max_bytes);
}

}  // namespace pare::gguf

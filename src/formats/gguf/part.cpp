#include "formats/gguf/part.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "base/byte_reader.h"
#include "codecs/codec.h"
#include "formats/gguf/format.h"

namespace pare::gguf {
namespace {

// The least that a key with its value, and a tensor's entry, take up in a file.
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;

class Parser {
 public:
  explicit Parser(std::shared_ptr<const MappedFile> file)
      : file_(std::move(file)), in_(file_->bytes(), file_->path()) {}

  Result<Part> parse() {
    PARE_RETURN_IF_ERROR(header());
    for (uint64_t i = 0; i < n_entries_; ++i) PARE_RETURN_IF_ERROR(entry());
    PARE_RETURN_IF_ERROR(alignment());
    part_.tensors.reserve(static_cast<size_t>(n_tensors_));
    part_.offsets.reserve(static_cast<size_t>(n_tensors_));
    for (uint64_t i = 0; i < n_tensors_; ++i) PARE_RETURN_IF_ERROR(tensor(i));
    PARE_RETURN_IF_ERROR(place());
    part_.file = std::move(file_);
    return std::move(part_);
  }

 private:
  Status header() {
    PARE_ASSIGN_OR_RETURN(const uint32_t magic, in_.number<uint32_t>("the magic number"));
    if (magic != kMagic) {
      return corrupt("{}: not a GGUF file: begins with 0x{:08x}, expected 0x{:08x} (\"GGUF\")",
                     file_->path(), magic, kMagic);
    }
    PARE_ASSIGN_OR_RETURN(part_.version, in_.number<uint32_t>("the version"));
    if (part_.version != 0 && (part_.version & 0xffff) == 0) {
      return unsupported("{}: version 0x{:08x}: a big-endian GGUF file, only little-endian is read",
                         file_->path(), part_.version);
    }
    if (part_.version < 2 || part_.version > kVersion) {
      return unsupported("{}: GGUF version {}, expected 2 or {}", file_->path(), part_.version,
                         kVersion);
    }
    PARE_ASSIGN_OR_RETURN(n_tensors_, in_.number<uint64_t>("the tensor count"));
    PARE_ASSIGN_OR_RETURN(n_entries_, in_.number<uint64_t>("the metadata count"));
    if (n_entries_ > in_.remaining() / kMinEntryBytes) {
      return in_.error("{} metadata keys cannot fit in the {} bytes left", n_entries_,
                       in_.remaining());
    }
    if (n_tensors_ > in_.remaining() / kMinTensorBytes) {
      return in_.error("{} tensors cannot fit in the {} bytes left", n_tensors_, in_.remaining());
    }
    return {};
  }

  Result<std::string_view> text(std::string_view what) {
    PARE_ASSIGN_OR_RETURN(const uint64_t length, in_.number<uint64_t>(what));
    PARE_ASSIGN_OR_RETURN(const auto bytes, in_.bytes(length, what));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  // Keys and tensor names end up in messages, paths and lookups: no empty ones, no control
  // characters, no absurd lengths.
  Result<std::string_view> name(std::string_view what, size_t limit) {
    PARE_ASSIGN_OR_RETURN(const std::string_view found, text(what));
    if (found.empty()) return in_.error("{} is empty", what);
    if (found.size() > limit) {
      return in_.error("{} has {} bytes, at most {} are allowed", what, found.size(), limit);
    }
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(found.begin(), found.end(), control)) {
      return in_.error("{} contains control characters", what);
    }
    return found;
  }

  Status entry() {
    PARE_ASSIGN_OR_RETURN(const std::string_view key, name("a metadata key", kMaxKey));
    if (part_.metadata.contains(key)) return in_.error("metadata key {} occurs twice", key);
    PARE_ASSIGN_OR_RETURN(const ValueType type, value_type(key));
    switch (type) {
      case ValueType::kString: {
        PARE_ASSIGN_OR_RETURN(const std::string_view value, text(key));
        part_.metadata.set(key, Value(value));
        return {};
      }
      case ValueType::kArray: {
        PARE_ASSIGN_OR_RETURN(Array value, array(key));
        part_.metadata.set(key, Value(std::move(value)));
        return {};
      }
      case ValueType::kU8:
        return scalar<uint8_t>(key);
      case ValueType::kI8:
        return scalar<int8_t>(key);
      case ValueType::kU16:
        return scalar<uint16_t>(key);
      case ValueType::kI16:
        return scalar<int16_t>(key);
      case ValueType::kU32:
        return scalar<uint32_t>(key);
      case ValueType::kI32:
        return scalar<int32_t>(key);
      case ValueType::kF32:
        return scalar<float>(key);
      case ValueType::kU64:
        return scalar<uint64_t>(key);
      case ValueType::kI64:
        return scalar<int64_t>(key);
      case ValueType::kF64:
        return scalar<double>(key);
      case ValueType::kBool: {
        PARE_ASSIGN_OR_RETURN(const uint8_t value, in_.number<uint8_t>(key));
        if (value > 1) return in_.error("metadata key {}: truth value {}", key, value);
        part_.metadata.set(key, Value(value == 1));
        return {};
      }
    }
    return in_.error("metadata key {}: value type {}", key, static_cast<uint32_t>(type));
  }

  Result<ValueType> value_type(std::string_view key) {
    PARE_ASSIGN_OR_RETURN(const uint32_t type, in_.number<uint32_t>(key));
    if (type >= kValueTypeCount) {
      return in_.error("metadata key {}: value type {}, expected 0 to {}", key, type,
                       kValueTypeCount - 1);
    }
    return static_cast<ValueType>(type);
  }

  template <Number T>
  Status scalar(std::string_view key) {
    PARE_ASSIGN_OR_RETURN(const T value, in_.number<T>(key));
    part_.metadata.set(key, Value(value));
    return {};
  }

  Result<Array> array(std::string_view key) {
    PARE_ASSIGN_OR_RETURN(const ValueType element, value_type(key));
    PARE_ASSIGN_OR_RETURN(const uint64_t count, in_.number<uint64_t>(key));
    if (element == ValueType::kArray) {
      return unsupported("{}: metadata key {}: arrays of arrays are not supported", file_->path(),
                         key);
    }
    const bool strings = element == ValueType::kString;
    const uint64_t least = strings ? sizeof(uint64_t) : value_type_bytes(element);
    if (count > in_.remaining() / least) {
      return in_.error("metadata key {}: {} elements of type {} cannot fit in the {} bytes left",
                       key, count, value_type_name(element), in_.remaining());
    }
    if (strings) {
      StringArrayBuilder builder;
      builder.reserve(static_cast<size_t>(count));
      for (uint64_t i = 0; i < count; ++i) {
        PARE_ASSIGN_OR_RETURN(const std::string_view element_text, text(key));
        builder.add(element_text);
      }
      return std::move(builder).build();
    }
    PARE_ASSIGN_OR_RETURN(const auto bytes, in_.bytes(count * least, key));
    if (element == ValueType::kBool &&
        std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; })) {
      return in_.error("metadata key {}: a truth value is neither 0 nor 1", key);
    }
    return Array::from_bytes(element, bytes);
  }

  Status alignment() {
    part_.alignment = kDefaultAlignment;
    const Value* value = part_.metadata.find(kKeyAlignment);
    if (value == nullptr) return {};
    // Runtimes insist on the type, and a file that they refuse should not pass here.
    if (value->type() != ValueType::kU32) {
      return in_.error("{}: found {}, expected u32", kKeyAlignment, value->type_name());
    }
    part_.alignment = *value->number<uint32_t>();
    if (!std::has_single_bit(part_.alignment) || part_.alignment > kMaxAlignment) {
      return in_.error("{} is {}, expected a power of two up to {}", kKeyAlignment, part_.alignment,
                       kMaxAlignment);
    }
    return {};
  }

  Status tensor(uint64_t i) {
    PARE_ASSIGN_OR_RETURN(const std::string_view found, name("a tensor name", kMaxReadName));
    TensorInfo info;
    info.name = found;
    if (!names_.insert(found).second) {
      return in_.error("tensor {}: the name {} occurs twice", i, found);
    }
    PARE_RETURN_IF_ERROR(shape(&info));
    PARE_ASSIGN_OR_RETURN(const uint32_t type, in_.number<uint32_t>("a tensor type"));
    const Codec* c = type <= INT32_MAX ? find_codec_by_gguf_type(static_cast<int>(type)) : nullptr;
    if (c == nullptr) {
      return unsupported("{}: tensor {}: ggml type {} is unknown, or was removed from the format",
                         file_->path(), info.name, type);
    }
    info.codec = c->id;
    if (!c->divides(info.shape.columns())) {
      return in_.error("tensor {}: rows of {} values do not divide into {} blocks of {}", info.name,
                       info.shape.columns(), c->name, c->block_len);
    }
    const auto blocks =
        static_cast<uint64_t>(info.shape.elements()) / static_cast<uint64_t>(c->block_len);
    if (!checked_mul(blocks, static_cast<uint64_t>(c->block_bytes), &info.bytes)) {
      return in_.error("tensor {}: {} of {} has more bytes than can be counted", info.name,
                       info.shape.to_string(), c->name);
    }
    PARE_ASSIGN_OR_RETURN(const uint64_t offset, in_.number<uint64_t>("a tensor offset"));
    part_.tensors.push_back(std::move(info));
    part_.offsets.push_back(offset);
    return {};
  }

  Status shape(TensorInfo* info) {
    PARE_ASSIGN_OR_RETURN(const uint32_t rank, in_.number<uint32_t>("a tensor's rank"));
    if (rank > kMaxRank) {
      return in_.error("tensor {}: {} dimensions, at most {} are allowed", info->name, rank,
                       kMaxRank);
    }
    std::array<int64_t, kMaxRank> extents{};  // slowest first; the file has the fastest first
    for (uint32_t d = rank; d-- > 0;) {
      PARE_ASSIGN_OR_RETURN(extents[d], in_.number<int64_t>("an extent"));
      if (extents[d] < 0) {
        return in_.error("tensor {}: extent {} is negative", info->name, extents[d]);
      }
    }
    const std::span<const int64_t> dims(extents.data(), rank);
    if (!Shape::countable(dims)) {
      return in_.error("tensor {}: more elements than can be counted", info->name);
    }
    info->shape = Shape(dims);
    return {};
  }

  // Tensors may lie in any order but must tile the data section: each begins where the one
  // before it ends, rounded up to the alignment. So none overlap and nothing hides between.
  Status place() {
    const uint64_t size = file_->bytes().size();
    // Padding after the last key of a file without tensors is optional.
    const uint64_t data = align_up(in_.offset(), part_.alignment);
    std::vector<size_t> order(part_.tensors.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto key = [&](size_t i) { return std::pair(part_.offsets[i], part_.tensors[i].bytes); };
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key(a) < key(b); });
    uint64_t expected = 0;
    for (size_t i : order) {
      const TensorInfo& info = part_.tensors[i];
      if (part_.offsets[i] != expected) {
        return corrupt("{}: tensor {}: offset {}, expected {} (aligned, without gap or overlap)",
                       file_->path(), info.name, part_.offsets[i], expected);
      }
      uint64_t end = 0;
      if (!checked_add(data + expected, info.bytes, &end) || end > size) {
        return corrupt("{}: tensor {}: {} bytes at {} do not fit in a file of {} bytes",
                       file_->path(), info.name, info.bytes, data + expected, size);
      }
      part_.offsets[i] = data + expected;
      expected = align_up(end, part_.alignment) - data;
    }
    return {};
  }

  std::shared_ptr<const MappedFile> file_;
  ByteReader in_;
  Part part_;
  uint64_t n_tensors_ = 0;
  uint64_t n_entries_ = 0;
  std::unordered_set<std::string_view> names_;  // views into the file
};

}  // namespace

Result<Part> parse_part(std::shared_ptr<const MappedFile> file) {
  return Parser(std::move(file)).parse();
}

}  // namespace pare::gguf

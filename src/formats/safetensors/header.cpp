#include "formats/safetensors/header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/byte_reader.h"

namespace pare::safetensors {
namespace {

using nlohmann::json;

// Follows the parser's events through the one form that a header may have:
//   { "__metadata__": {string: string, ...}, NAME: {"dtype": .., "shape": [..],
//     "data_offsets": [begin, end]}, ... }
// A document tree is never built: a hostile header could make it many times larger than itself.
class Handler final : public nlohmann::json_sax<json> {
 public:
  Header header;
  std::string error;

  bool start_object(size_t) override {
    switch (place_) {
      case Place::kOutside:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        place_ = in_metadata_ ? Place::kMetadata : Place::kEntry;
        fields_ = 0;
        return true;
      default:
        return unexpected("an object");
    }
  }

  bool key(std::string& name) override {
    switch (place_) {
      case Place::kTop:
        return begin_entry(name);
      case Place::kMetadata:
        key_ = name;
        if (!header.metadata.emplace(name, std::string()).second) {
          return fail("{}: the key \"{}\" occurs twice", kMetadataKey, name);
        }
        return true;
      default:
        return begin_field(name);
    }
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      header.metadata[key_] = std::move(value);
      return true;
    }
    if (place_ != Place::kEntry || field_ != kDtype) return unexpected("a string");
    const DtypeInfo* info = find_dtype(value);
    if (info == nullptr) return fail("tensor {}: dtype \"{}\" is unknown", entry().name, value);
    entry().dtype = info->dtype;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kEntry || field_ == kDtype) return unexpected("an array");
    place_ = Place::kNumbers;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kNumbers) return unexpected("a number");
    const size_t limit = field_ == kOffsets ? 2 : size_t{Shape::kMaxRank};
    if (numbers_.size() == limit) {
      return fail("tensor {}: {} has more than {} numbers", entry().name, kFieldNames[field_],
                  limit);
    }
    numbers_.push_back(value);
    return true;
  }

  bool end_array() override {
    place_ = Place::kEntry;
    if (field_ == kShape) return set_shape();
    if (numbers_.size() != 2) return fail("tensor {}: data_offsets needs 2 numbers", entry().name);
    entry().begin = numbers_[0];
    entry().end = numbers_[1];
    return true;
  }

  bool end_object() override {
    switch (place_) {
      case Place::kEntry:
        for (int f = 0; f < kFieldCount; ++f) {
          if ((fields_ >> f & 1) == 0) {
            return fail("tensor {}: {} is missing", entry().name, kFieldNames[f]);
          }
        }
        [[fallthrough]];
      case Place::kMetadata:
        place_ = Place::kTop;
        return true;
      default:
        place_ = Place::kOutside;
        return true;
    }
  }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool number_integer(int64_t) override { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { return unexpected("a fraction"); }
  bool binary(json::binary_t&) override { return unexpected("binary data"); }
  bool parse_error(size_t at, const std::string&, const json::exception&) override {
    return fail("not JSON at byte {}", at);
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kEntry, kNumbers };
  enum Field { kDtype, kShape, kOffsets, kFieldCount };
  static constexpr const char* kFieldNames[] = {"dtype", "shape", "data_offsets"};

  Entry& entry() { return header.entries.back(); }

  template <typename... Args>
  bool fail(fmt::format_string<Args...> format, Args&&... args) {
    error = fmt::format(format, std::forward<Args>(args)...);
    return false;
  }

  bool unexpected(std::string_view what) {
    if (place_ == Place::kEntry || place_ == Place::kNumbers) {
      return fail("tensor {}: {} where it cannot be", entry().name, what);
    }
    return fail("{} where it cannot be", what);
  }

  bool begin_entry(const std::string& name) {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (name.empty() || std::any_of(name.begin(), name.end(), control)) {
      return fail("a tensor name is empty or contains control characters");
    }
    if (!names_.insert(name).second) return fail("the name {} occurs twice", name);
    in_metadata_ = name == kMetadataKey;
    if (!in_metadata_) header.entries.emplace_back().name = name;
    return true;
  }

  bool begin_field(const std::string& name) {
    for (int f = 0; f < kFieldCount; ++f) {
      if (name != kFieldNames[f]) continue;
      if ((fields_ >> f & 1) != 0) return fail("tensor {}: {} occurs twice", entry().name, name);
      fields_ |= 1u << f;
      field_ = static_cast<Field>(f);
      return true;
    }
    return fail("tensor {}: the key \"{}\" is unknown", entry().name, name);
  }

  bool set_shape() {
    std::vector<int64_t> extents;
    bool countable = true;
    for (uint64_t n : numbers_) {
      extents.push_back(static_cast<int64_t>(n));
      countable = countable && std::in_range<int64_t>(n);
    }
    if (!countable || !Shape::countable(extents)) {
      return fail("tensor {}: more elements than can be counted", entry().name);
    }
    entry().shape = Shape(extents);
    return true;
  }

  Place place_ = Place::kOutside;
  bool in_metadata_ = false;
  Field field_ = kDtype;
  unsigned fields_ = 0;  // a bit per field that was seen
  std::string key_;      // of __metadata__
  std::vector<uint64_t> numbers_;
  std::unordered_set<std::string> names_;
};

Status check_sizes(const Entry& entry, std::string_view label) {
  const DtypeInfo& dtype = dtype_info(entry.dtype);
  uint64_t bits = 0;
  if (!checked_mul(static_cast<uint64_t>(entry.shape.elements()), static_cast<uint64_t>(dtype.bits),
                   &bits)) {
    return corrupt("{}: tensor {}: {} of {} has more bytes than can be counted", label, entry.name,
                   entry.shape.to_string(), dtype.name);
  }
  if (bits % 8 != 0) {
    return corrupt("{}: tensor {}: {} of {} is not a whole number of bytes", label, entry.name,
                   entry.shape.to_string(), dtype.name);
  }
  if (entry.begin > entry.end || entry.end - entry.begin != bits / 8) {
    return corrupt("{}: tensor {}: data_offsets [{}, {}], but {} of {} takes {} bytes", label,
                   entry.name, entry.begin, entry.end, entry.shape.to_string(), dtype.name,
                   bits / 8);
  }
  return {};
}

}  // namespace

Result<Header> parse_header(std::string_view text, uint64_t data_bytes, std::string_view label) {
  // The format wants the brace first: white space may only follow the closing one.
  if (!text.starts_with('{')) return corrupt("{}: the header does not begin with {{", label);
  // The JSON library takes a zero byte for the end of its input and would skip what follows.
  if (text.find('\0') != text.npos) return corrupt("{}: header: not JSON: a zero byte", label);
  Handler handler;
  if (!json::sax_parse(text, &handler)) return corrupt("{}: header: {}", label, handler.error);

  Header header = std::move(handler.header);
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const Entry& a, const Entry& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  uint64_t expected = 0;
  for (const Entry& entry : header.entries) {
    PARE_RETURN_IF_ERROR(check_sizes(entry, label));
    if (entry.begin != expected) {
      return corrupt("{}: tensor {}: begins at {}, expected {} (without hole or overlap)", label,
                     entry.name, entry.begin, expected);
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return corrupt("{}: tensors take {} bytes, but {} follow the header", label, expected,
                   data_bytes);
  }
  return header;
}

}  // namespace pare::safetensors

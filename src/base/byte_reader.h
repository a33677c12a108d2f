// A bounded little-endian reader over bytes that are not trusted.
//
// Every read is checked against what is left; errors carry the file's label, the offset,
// what was wanted and what was there. Not thread safe; views returned point into the input
// and live as long as it does.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/status.h"

namespace pare {

static_assert(std::endian::native == std::endian::little,
              "file formats are read in place on little-endian machines");

class ByteReader {
 public:
  // label: what errors call this input, usually the file's path.
  ByteReader(std::span<const std::byte> bytes, std::string_view label)
      : bytes_(bytes), label_(label) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  // Reads one number; `what` names the field in the error.
  template <typename T>
  requires std::is_arithmetic_v<T> Result<T> number(std::string_view what) {
    if (remaining() < sizeof(T)) return truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  // The next `count` bytes, as a view.
  Result<std::span<const std::byte>> bytes(uint64_t count, std::string_view what) {
    if (remaining() < count) return truncated(what, count);
    auto view = bytes_.subspan(offset_, static_cast<size_t>(count));
    offset_ += static_cast<size_t>(count);
    return view;
  }

  Status skip(uint64_t count, std::string_view what) {
    if (remaining() < count) return truncated(what, count);
    offset_ += static_cast<size_t>(count);
    return {};
  }

  // An error at the current offset, in the reader's form.
  template <typename... Args>
  Status error(fmt::format_string<Args...> format, Args&&... args) const {
    return corrupt("{}: at byte {}: {}", label_, offset_,
                   fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  Status truncated(std::string_view what, uint64_t wanted) const {
    return corrupt("{}: at byte {}: {} needs {} bytes, only {} are left", label_, offset_, what,
                   wanted, remaining());
  }

  std::span<const std::byte> bytes_;
  std::string_view label_;
  size_t offset_ = 0;
};

// a * b and a + b that say when they overflow.
inline bool checked_mul(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}

}  // namespace pare

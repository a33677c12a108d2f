// What the GGUF reader and writer both have to know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pare::gguf {

inline constexpr uint32_t kMagic = 0x46554747;  // "GGUF", little-endian
inline constexpr uint32_t kVersion = 3;         // written; 2 differs only in big-endian support
inline constexpr uint64_t kDefaultAlignment = 32;
// Pages and huge pages are as far as alignment makes sense; more would make padding a weapon.
inline constexpr uint64_t kMaxAlignment = uint64_t{1} << 21;
inline constexpr uint32_t kMaxRank = 4;
// Runtimes hold names in 64 bytes with a final zero: longer ones are read, never written.
inline constexpr size_t kMaxWrittenName = 63;
inline constexpr size_t kMaxReadName = 1024;
inline constexpr size_t kMaxKey = 65535;

inline constexpr std::string_view kKeyAlignment = "general.alignment";
inline constexpr std::string_view kKeySplitNo = "split.no";                  // u16, from 0
inline constexpr std::string_view kKeySplitCount = "split.count";            // u16
inline constexpr std::string_view kKeySplitTensors = "split.tensors.count";  // i32, of all parts

// `value` rounded up to a multiple of `alignment` (a power of two); the caller has made sure
// that value + alignment does not overflow.
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// The parts of a split model are called PREFIX-00001-of-00003.gguf, counted from 1.
struct PartName {
  std::string prefix;
  uint32_t number = 0;
  uint32_t count = 0;
};
std::string part_path(std::string_view prefix, uint32_t number, uint32_t count);
std::optional<PartName> parse_part_path(std::string_view path);

}  // namespace pare::gguf

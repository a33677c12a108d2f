#include "formats/gguf/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pare::gguf {
namespace {
constexpr std::string_view kSuffix = ".gguf";
constexpr std::string_view kOf = "-of-";
constexpr size_t kDigits = 5;
}  // namespace

std::string part_path(std::string_view prefix, uint32_t number, uint32_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

std::optional<PartName> parse_part_path(std::string_view path) {
  constexpr size_t kTail = 1 + kDigits + kOf.size() + kDigits + kSuffix.size();
  if (path.size() <= kTail || !path.ends_with(kSuffix)) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kTail);
  const auto digits = [&](size_t at) -> std::optional<uint32_t> {
    uint32_t value = 0;
    const char* begin = tail.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + kDigits, value);
    if (error != std::errc() || end != begin + kDigits) return std::nullopt;
    return value;
  };
  const auto number = digits(1);
  const auto count = digits(1 + kDigits + kOf.size());
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf || !number || !count) {
    return std::nullopt;
  }
  return PartName{std::string(path.substr(0, path.size() - kTail)), *number, *count};
}

}  // namespace pare::gguf

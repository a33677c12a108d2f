// JSON from files that are not trusted: strict, with a bound on nesting, no duplicate keys.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pare {

// nlohmann's parser does not recurse, but much that is done with its result does.
inline constexpr size_t kMaxJsonDepth = 64;

// `label` is what errors call the text, usually the file's path.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view label,
                                  size_t max_depth = kMaxJsonDepth);
Result<nlohmann::json> read_json(const std::string& path, size_t max_depth = kMaxJsonDepth);

// `text` as a JSON string with its quotes; an error if it is not UTF-8.
Result<std::string> json_quote(std::string_view text);

}  // namespace pare

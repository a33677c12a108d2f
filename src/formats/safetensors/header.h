// The header of one safetensors file, parsed and checked.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/safetensors/dtype.h"
#include "tensor/shape.h"

namespace pare::safetensors {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation has it
inline constexpr std::string_view kMetadataKey = "__metadata__";

struct Entry {
  std::string name;
  Dtype dtype = Dtype::kF32;
  Shape shape;
  uint64_t begin = 0;  // in bytes, from the end of the header
  uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;  // in the order of their data
  std::map<std::string, std::string> metadata;
};

// `json` is the header's text, `data_bytes` the size of what follows it. Strict: no duplicate or
// unknown keys, sizes that match shape and dtype, and data that the tensors tile from the first
// byte to the last without holes or overlaps. Memory used is proportional to the text.
Result<Header> parse_header(std::string_view json, uint64_t data_bytes, std::string_view label);

}  // namespace pare::safetensors

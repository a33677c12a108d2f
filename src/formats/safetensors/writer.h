// Plans safetensors files: one, or shards with their index. With the tensors' names, types and
// shapes everything but the weights is settled, sizes included. file_set.h writes them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/file_set.h"
#include "formats/safetensors/dtype.h"
#include "tensor/tensor.h"

namespace pare::safetensors {

struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::kF32;
  Shape shape;
};

struct LayoutOptions {
  std::map<std::string, std::string> metadata;  // __metadata__; readers expect "format": "pt"
  // No file gets larger than this; 0: one file. Shards are called PREFIX-00001-of-00003
  // .safetensors, where `path` is PREFIX.safetensors, with PREFIX.safetensors.index.json first
  // in the plan.
  uint64_t max_shard_bytes = 0;
};

// FileSet::places follows the order of `tensors`; in a file, wider types come first so that all
// data is aligned. Errors: duplicate or non-UTF-8 names, a tensor larger than a shard may be.
Result<FileSet> plan_files(const std::string& path, std::span<const TensorSpec> tensors,
                           const LayoutOptions& options = {});

// For tensors in pare's terms; an error for codecs that safetensors has no dtype for.
Result<std::vector<TensorSpec>> specs_of(std::span<const TensorInfo> tensors);

}  // namespace pare::safetensors

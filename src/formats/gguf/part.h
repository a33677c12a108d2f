// One GGUF file, parsed and checked: what reader.h builds a model from. Internal to gguf/.
#pragma once

#include <memory>
#include <vector>

#include "base/file.h"
#include "formats/gguf/metadata.h"
#include "tensor/tensor.h"

namespace pare::gguf {

struct Part {
  std::shared_ptr<const MappedFile> file;
  uint32_t version = 0;
  uint64_t alignment = 0;
  Metadata metadata;  // with this part's split.* keys
  std::vector<TensorInfo> tensors;
  std::vector<uint64_t> offsets;  // of tensors, from the start of the file
};

// Checks everything that can be checked without reading weights: counts against the size of the
// file before anything is allocated, value types, unique keys and names, shapes, row lengths,
// and that the tensors tile the data section in whatever order.
Result<Part> parse_part(std::shared_ptr<const MappedFile> file);

}  // namespace pare::gguf

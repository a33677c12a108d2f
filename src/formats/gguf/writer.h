// Plans GGUF files (version 3): with the metadata and the tensors' names, shapes and codecs
// everything but the weights is settled, the size of the file to the byte included.
// file_set.h writes the files that are planned here.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "formats/file_set.h"
#include "formats/gguf/metadata.h"
#include "tensor/tensor.h"

namespace pare::gguf {

struct LayoutOptions {
  // No file gets larger than this; 0: one file. Split files follow llama.cpp: they are called
  // PREFIX-00001-of-00003.gguf, where `path` is PREFIX.gguf, and carry split.* keys.
  uint64_t split_max_bytes = 0;
};

// The files of a model, tensors in the order given. TensorInfo::bytes is not read: sizes follow
// from shape and codec. general.alignment in the metadata is obeyed; split.* keys are dropped.
// Errors: names that runtimes would refuse, types that GGUF cannot hold, rows that do not
// divide into blocks, a tensor that is larger than split_max_bytes.
Result<FileSet> plan_files(const std::string& path, const Metadata& metadata,
                           std::span<const TensorInfo> tensors, const LayoutOptions& options = {});

// What one file takes up besides its tensors' bytes: it does not depend on codecs, so a search
// over them adds align_up(bytes, alignment) of format.h per tensor to this and is exact.
Result<uint64_t> header_bytes(const Metadata& metadata, std::span<const TensorInfo> tensors);
Result<uint64_t> alignment_of(const Metadata& metadata);

}  // namespace pare::gguf

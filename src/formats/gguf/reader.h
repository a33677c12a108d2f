// Reads GGUF files (versions 2 and 3, little-endian), split ones as one source.
//
// Nothing is decoded or copied: tensors are views of the mapped files. Shapes are slowest
// first, the reverse of what the file has. A tensor's bytes are aligned as the file aligns
// them, which a hostile file may set to 1: decode with memcpy. Files are not trusted; see
// part.h for what is checked. Immutable after opening, so usable from several threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/gguf/metadata.h"
#include "tensor/tensor.h"

namespace pare::gguf {

class File final : public TensorSource {
 public:
  // `path` may be any part of a split model; the others are found beside it by name.
  static Result<std::shared_ptr<const File>> open(const std::string& path);
  // A model of one file that is already mapped.
  static Result<std::shared_ptr<const File>> parse(std::shared_ptr<const MappedFile> file);

  // Without the split.* keys, which describe the files and not the model.
  const Metadata& metadata() const { return metadata_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  size_t parts() const { return files_.size(); }
  uint64_t file_bytes() const;  // of all parts

  std::span<const TensorInfo> tensors() const override { return tensors_; }
  Result<PackedTensor> read(size_t index) const override;
  void release(size_t index) const override;

  // Where tensor `index` lies.
  struct Place {
    uint32_t part;
    uint64_t offset;  // in bytes, from the start of that file
  };
  Place place(size_t index) const { return places_[index]; }

 private:
  File() = default;
  std::span<const std::byte> bytes(size_t index) const;

  std::vector<std::shared_ptr<const MappedFile>> files_;
  Metadata metadata_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 0;
  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;
};

}  // namespace pare::gguf

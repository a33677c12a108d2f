// Reads safetensors: one file, or shards with their index, as one source.
//
// Nothing is decoded or copied. A tensor's bytes need not be aligned: decode with memcpy. Files
// are not trusted; header.h says what is checked. Immutable after opening, so usable from
// several threads.
//
// Dtypes without a codec (U8, BOOL, the 8-bit floats ...) are listed with the integer codec of
// the same width as a stand-in if there is one; read() refuses them, raw() gives their bytes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/safetensors/dtype.h"
#include "tensor/tensor.h"

namespace pare::safetensors {

class File final : public TensorSource {
 public:
  // One .safetensors file.
  static Result<std::shared_ptr<const File>> open(const std::string& path);
  static Result<std::shared_ptr<const File>> parse(std::shared_ptr<const MappedFile> file);
  // A NAME.safetensors.index.json: the tensors of its weight_map, each from the shard it names.
  // Shards must lie in the index's directory or below; a missing one is named.
  static Result<std::shared_ptr<const File>> open_index(const std::string& path);
  // Several files whose tensors are taken together; names must be unique.
  static Result<std::shared_ptr<const File>> open_all(const std::vector<std::string>& paths);

  // __metadata__ of all files; the first file to name a key wins.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  size_t parts() const { return files_.size(); }
  uint64_t file_bytes() const;  // of all parts, without the index

  std::span<const TensorInfo> tensors() const override { return tensors_; }
  Result<PackedTensor> read(size_t index) const override;
  void release(size_t index) const override;

  Dtype dtype(size_t index) const { return places_[index].dtype; }
  std::span<const std::byte> raw(size_t index) const;

 private:
  struct Place {
    uint32_t part;
    Dtype dtype;
    uint64_t offset;  // in bytes, from the start of the file
  };
  File() = default;
  // Adds the tensors of one file: all, or those that `wanted` maps to `shard`.
  Status add(std::shared_ptr<const MappedFile> file,
             const std::map<std::string, std::string>* wanted, const std::string& shard);
  Status check_unique_names() const;

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;
};

}  // namespace pare::safetensors

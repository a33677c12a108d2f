// Model files whose layout is known before any weight is: what the GGUF and safetensors writers
// plan, and the one writer that carries such a plan out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "tensor/tensor.h"

namespace pare {

// One or more files to be written. The order of `files` is that in which a user meets them: the
// one that is opened first (part 1, the index) comes first.
struct FileSet {
  struct File {
    std::string path;
    std::string header;  // the exact bytes before the tensor data
    uint64_t bytes = 0;  // of the whole file
  };
  struct Place {
    std::string name;     // of the tensor, for messages
    uint32_t file = 0;    // in `files`
    uint64_t offset = 0;  // in bytes, from the start of the file
    uint64_t bytes = 0;
  };
  std::vector<File> files;
  std::vector<Place> places;  // one per tensor, in the order they were planned in

  uint64_t bytes() const;  // of all files
};

// Writes a FileSet through temporary files: nothing appears under a final name before commit().
// Bytes between tensors are zero. Destroyed without commit: the temporaries are removed, unless
// keep_partial() was called. One object, one thread.
class FileSetWriter final : public TensorSink {
 public:
  // Starts from nothing; a left-over temporary file is emptied.
  static Result<std::unique_ptr<FileSetWriter>> create(FileSet set,
                                                       FileSystem& fs = FileSystem::real());
  // Goes on with the temporary files that an interrupted job left. kNotFound if one is missing
  // or was made for another plan: then create() is the way. Which tensors are already whole
  // the caller knows (its journal) and says with mark_written().
  static Result<std::unique_ptr<FileSetWriter>> resume(FileSet set,
                                                       FileSystem& fs = FileSystem::real());

  const FileSet& files() const { return set_; }

  // Tensors in any order, also interleaved; pieces of one tensor in order.
  Status write(size_t index, std::span<const std::byte> bytes) override;
  void mark_written(size_t index);
  bool is_written(size_t index) const { return written_[index] == set_.places[index].bytes; }
  // Returns when all that was written so far would survive a power cut.
  Status sync();
  // Gives the files their names, those that a user opens first last. kInternal if a tensor is
  // not whole.
  Status commit();
  void keep_partial();

 private:
  explicit FileSetWriter(FileSet set) : set_(std::move(set)), written_(set_.places.size(), 0) {}
  Status open_files(FileSystem& fs, bool fresh);

  FileSet set_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
  std::vector<uint64_t> written_;  // bytes of each tensor
};

}  // namespace pare

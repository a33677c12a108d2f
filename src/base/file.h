// Files behind an interface, so that tests can run in memory and make writes fail.
//
// Reading is by memory map. Writing goes through AtomicFile: bytes land in a temporary file
// in the target's directory, are synced, then renamed; the target's name shows the whole
// file or nothing new. Paths are UTF-8. One object, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace pare {

// A read-only view of a whole file, mapped; valid as long as the object lives.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  // The same interface over bytes in memory; `path` is the label in errors.
  static std::shared_ptr<const MappedFile> from_bytes(std::string path, std::string bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Tells the kernel that these pages will not be read again soon (keeps peak memory low).
  void release(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  std::string path_;
  std::string owned_;  // used by from_bytes only
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
};

// A file being written. Positions are absolute: a resumed job may overwrite its tail.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status write_at(uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Status sync() = 0;
  virtual Status close() = 0;
};

// The operating system as pare sees it when it writes.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Opens for writing, creating it if absent; existing bytes are kept.
  virtual Result<std::unique_ptr<WritableFile>> open_for_write(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;
  static FileSystem& real();
};

// Writes path + ".part", then renames it over `path` on commit(). Destroyed without commit:
// the temporary is removed, unless keep_partial() was called (a job that can be resumed).
class AtomicFile {
 public:
  static Result<std::unique_ptr<AtomicFile>> create(std::string path,
                                                    FileSystem& fs = FileSystem::real());
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& temporary_path() const { return temporary_; }
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  Status append(std::span<const std::byte> bytes);  // after the highest byte written so far
  Status truncate(uint64_t size);
  Status sync();
  Status commit();  // sync, close, rename, sync the directory
  void keep_partial() { keep_ = true; }

 private:
  AtomicFile(std::string path, FileSystem& fs) : path_(std::move(path)), fs_(fs) {}
  std::string path_;
  std::string temporary_;
  FileSystem& fs_;
  std::unique_ptr<WritableFile> file_;
  uint64_t end_ = 0;
  bool keep_ = false;
};

// Whole small files (configs, plans). read_text refuses files over `limit` bytes.
Result<std::string> read_text(const std::string& path, uint64_t limit = uint64_t{1} << 30);
Status write_text_atomically(const std::string& path, std::string_view text);

bool file_exists(const std::string& path);
bool directory_exists(const std::string& path);
// True if both name the same file on disk (also through links); false if either is absent.
bool same_file(const std::string& a, const std::string& b);

}  // namespace pare

// For tests: the real file system until it is full.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "base/file.h"

namespace pare {

// Write, truncate, sync and rename number `failing` (from 0) and every one after it fail. The
// failing write still puts half of its bytes into the file, as a full disk does. Nothing is
// synced: tests need no safety from power cuts, and run for hundreds of small files.
class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(int64_t failing = INT64_MAX) : failing_(failing) {}

  int64_t operations() const { return operations_; }

  Result<std::unique_ptr<WritableFile>> open_for_write(const std::string& path) override {
    PARE_ASSIGN_OR_RETURN(auto file, FileSystem::real().open_for_write(path));
    return std::unique_ptr<WritableFile>(new FaultyFile(std::move(file), *this));
  }
  Status rename(const std::string& from, const std::string& to) override {
    PARE_RETURN_IF_ERROR(count(from));
    std::error_code error;
    std::filesystem::rename(from, to, error);
    if (error) return io_error("{}: {}", from, error.message());
    return {};
  }
  Status remove(const std::string& path) override { return FileSystem::real().remove(path); }

 private:
  class FaultyFile final : public WritableFile {
   public:
    FaultyFile(std::unique_ptr<WritableFile> file, FaultyFileSystem& fs)
        : file_(std::move(file)), fs_(fs) {}
    Status write_at(uint64_t offset, std::span<const std::byte> bytes) override {
      const Status status = fs_.count("a file");
      const size_t written = status.ok() ? bytes.size() : bytes.size() / 2;
      PARE_RETURN_IF_ERROR(file_->write_at(offset, bytes.first(written)));
      return status;
    }
    Status truncate(uint64_t size) override {
      PARE_RETURN_IF_ERROR(fs_.count("a file"));
      return file_->truncate(size);
    }
    Status sync() override { return fs_.count("a file"); }
    Status close() override { return file_->close(); }

   private:
    std::unique_ptr<WritableFile> file_;
    FaultyFileSystem& fs_;
  };

  Status count(const std::string& what) {
    if (operations_++ < failing_) return {};
    return io_error("{}: no space left on device", what);
  }

  int64_t failing_, operations_ = 0;
};

// A directory that is gone with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "pare-test-XXXXXX").string();
    PARE_CHECK(::mkdtemp(name.data()) != nullptr, "no temporary directory");
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  size_t count() const {
    const std::filesystem::directory_iterator entries(path_);
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace pare

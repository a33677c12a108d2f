// For the tests of this room: a directory that cleans up after itself, bytes put together by
// hand, and a disk that fills up.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace pare::testing_support {

class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = ::testing::TempDir() + "pare_formats_XXXXXX";
    PARE_CHECK(mkdtemp(pattern.data()) != nullptr, "no temporary directory");
    path_ = pattern;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string path() const { return path_; }
  std::string write(std::string_view name, std::string_view text) const {
    const std::string target = file(name);
    std::filesystem::create_directories(std::filesystem::path(target).parent_path());
    const Status status = write_text_atomically(target, text);
    PARE_CHECK(status.ok(), status.message());
    return target;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::string path_;
};

// Little-endian bytes, one field after the other.
class Bytes {
 public:
  template <typename T>
  Bytes& number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bytes& u8(uint8_t v) { return number(v); }
  Bytes& u32(uint32_t v) { return number(v); }
  Bytes& u64(uint64_t v) { return number(v); }
  Bytes& raw(std::string_view text) {
    out_.append(text);
    return *this;
  }
  Bytes& zeros(size_t n) {
    out_.append(n, '\0');
    return *this;
  }
  Bytes& pad(size_t alignment) { return zeros((alignment - out_.size() % alignment) % alignment); }
  const std::string& str() const { return out_; }

 private:
  std::string out_;
};

// The real file system, until `budget` bytes have been written to it in all.
class FullDisk final : public FileSystem {
 public:
  explicit FullDisk(uint64_t budget) : budget_(budget) {}

  Result<std::unique_ptr<WritableFile>> open_for_write(const std::string& path) override {
    PARE_ASSIGN_OR_RETURN(auto file, real().open_for_write(path));
    return std::unique_ptr<WritableFile>(new File(std::move(file), path, &budget_));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return real().rename(from, to);
  }
  Status remove(const std::string& path) override { return real().remove(path); }

 private:
  class File final : public WritableFile {
   public:
    File(std::unique_ptr<WritableFile> file, std::string path, uint64_t* budget)
        : file_(std::move(file)), path_(std::move(path)), budget_(budget) {}
    Status write_at(uint64_t offset, std::span<const std::byte> bytes) override {
      const auto fitting = static_cast<size_t>(std::min<uint64_t>(*budget_, bytes.size()));
      *budget_ -= fitting;
      PARE_RETURN_IF_ERROR(file_->write_at(offset, bytes.first(fitting)));
      if (fitting == bytes.size()) return {};
      return io_error("{}: cannot write: no space left on device", path_);
    }
    Status truncate(uint64_t size) override { return file_->truncate(size); }
    Status sync() override { return file_->sync(); }
    Status close() override { return file_->close(); }

   private:
    std::unique_ptr<WritableFile> file_;
    std::string path_;
    uint64_t* budget_;
  };
  uint64_t budget_;
};

// The result failed with this code and its message contains `text`.
template <typename T>
void expect_error(const Result<T>& result, StatusCode code, std::string_view text) {
  ASSERT_FALSE(result.ok()) << "expected an error about: " << text;
  EXPECT_EQ(result.status().code(), code) << result.status().message();
  EXPECT_NE(result.status().message().find(text), std::string::npos)
      << "message:  " << result.status().message() << "\nexpected: " << text;
}
inline void expect_error(const Status& status, StatusCode code, std::string_view text) {
  expect_error(status.ok() ? Result<int>(0) : Result<int>(status), code, text);
}

#define ASSERT_OK(expr)                                                \
  do {                                                                 \
    const auto& ok_ = (expr);                                          \
    ASSERT_TRUE(ok_.ok()) << ::pare::testing_support::message_of(ok_); \
  } while (0)
inline std::string message_of(const Status& s) { return s.message(); }
template <typename T>
std::string message_of(const Result<T>& r) {
  return r.status().message();
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace pare::testing_support

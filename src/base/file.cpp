#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace pare {
namespace {

Status os_error(std::string_view what, const std::string& path) {
  const int error = errno;
  if (error == ENOENT) return not_found("{}: {}: no such file or directory", path, what);
  return io_error("{}: {}: {}", path, what, std::strerror(error));
}

class PosixFile final : public WritableFile {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PosixFile() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Status write_at(uint64_t offset, std::span<const std::byte> bytes) override {
#if defined(__linux__)
    const auto begin = static_cast<off64_t>(offset);
    const auto count = static_cast<off64_t>(bytes.size());
#endif
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return os_error("cannot write", path_);
      }
      bytes = bytes.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
#if defined(__linux__)
    // On its way to the disk at once, so that sync() has little to wait for. A wish: failure is no
    // error.
    (void)::sync_file_range(fd_, begin, count, SYNC_FILE_RANGE_WRITE);
#endif
    return {};
  }

  Status truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return os_error("cannot resize", path_);
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return os_error("cannot sync", path_);
    return {};
  }

  Status close() override {
    const int fd = std::exchange(fd_, -1);
    if (fd >= 0 && ::close(fd) != 0) return os_error("cannot close", path_);
    return {};
  }

 private:
  std::string path_;
  int fd_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> open_for_write(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return os_error("cannot open for writing", path);
    return std::unique_ptr<WritableFile>(new PosixFile(path, fd));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error("cannot rename to " + to, from);
    // The name itself must survive a power cut too.
    auto directory = std::filesystem::path(to).parent_path();
    const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
      ::fsync(fd);
      ::close(fd);
    }
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("cannot remove", path);
    return {};
  }
};

}  // namespace

FileSystem& FileSystem::real() {
  static PosixFileSystem instance;
  return instance;
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  if (path.empty()) return invalid_argument("the name of a file is empty");
  // Without waiting for whoever would write to a pipe.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return os_error("cannot open", path);
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    const Status error = os_error("cannot stat", path);
    ::close(fd);
    return error;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return invalid_argument("{}: not a regular file", path);
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->size_ = static_cast<size_t>(info.st_size);
  if (file->size_ > 0) {
    void* address = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) {
      const Status error = os_error("cannot map", path);
      ::close(fd);
      return error;
    }
    file->data_ = static_cast<const std::byte*>(address);
    file->mapped_ = true;
  }
  ::close(fd);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::string path, std::string bytes) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = std::move(path);
  file->owned_ = std::move(bytes);
  file->data_ = reinterpret_cast<const std::byte*>(file->owned_.data());
  file->size_ = file->owned_.size();
  return file;
}

MappedFile::~MappedFile() {
  if (mapped_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const {
  if (!mapped_ || part.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Result<std::unique_ptr<AtomicFile>> AtomicFile::create(std::string path, FileSystem& fs) {
  std::unique_ptr<AtomicFile> file(new AtomicFile(std::move(path), fs));
  file->temporary_ = file->path_ + ".part";
  PARE_ASSIGN_OR_RETURN(file->file_, fs.open_for_write(file->temporary_));
  return file;
}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  (void)file_->close();
  if (!keep_) (void)fs_.remove(temporary_);
}

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  PARE_RETURN_IF_ERROR(file_->write_at(offset, bytes));
  end_ = std::max(end_, offset + bytes.size());
  return {};
}

Status AtomicFile::append(std::span<const std::byte> bytes) { return write_at(end_, bytes); }
Status AtomicFile::truncate(uint64_t size) {
  end_ = size;
  return file_->truncate(size);
}
Status AtomicFile::sync() { return file_->sync(); }

Status AtomicFile::commit() {
  PARE_RETURN_IF_ERROR(file_->sync());
  PARE_RETURN_IF_ERROR(file_->close());
  file_.reset();
  return fs_.rename(temporary_, path_);
}

Result<std::string> read_text(const std::string& path, uint64_t limit) {
  PARE_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  if (bytes.size() > limit) {
    return invalid_argument("{}: {} bytes, at most {} are read", path, bytes.size(), limit);
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status write_text_atomically(const std::string& path, std::string_view text) {
  PARE_ASSIGN_OR_RETURN(auto file, AtomicFile::create(path));
  PARE_RETURN_IF_ERROR(file->truncate(0));
  PARE_RETURN_IF_ERROR(file->append(std::as_bytes(std::span(text))));
  return file->commit();
}

bool file_exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

bool directory_exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

}  // namespace pare

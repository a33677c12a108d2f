#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/faulty_file_system.h"

namespace pare {
namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string contents(const std::string& path) {
  const auto text = read_text(path);
  return text.ok() ? *text : "(" + text.status().message() + ")";
}

TEST(AtomicFile, AppearsUnderItsNameOnlyWhenCommitted) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->write_at(5, as_bytes("world")).ok());
  ASSERT_TRUE((*file)->write_at(0, as_bytes("hello")).ok());
  ASSERT_TRUE((*file)->append(as_bytes("!")).ok());  // after the highest byte, not the last write
  EXPECT_FALSE(file_exists(path));
  ASSERT_TRUE((*file)->commit().ok());
  EXPECT_EQ(contents(path), "helloworld!");
  EXPECT_EQ(directory.count(), 1u);
}

TEST(AtomicFile, GivenUpLeavesTheOldFileAndNoTrace) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  ASSERT_TRUE(write_text_atomically(path, "old").ok());
  for (bool keep : {false, true}) {
    {
      auto file = AtomicFile::create(path);
      ASSERT_TRUE(file.ok());
      ASSERT_TRUE((*file)->append(as_bytes("new")).ok());
      if (keep) (*file)->keep_partial();
    }
    EXPECT_EQ(contents(path), "old");
    EXPECT_EQ(directory.count(), keep ? 2u : 1u);
  }
  EXPECT_EQ(contents(path + ".part"), "new");
}

TEST(AtomicFile, AFullDiskAtAnyPointLeavesTheOldFile) {
  for (int64_t failing = 0;; ++failing) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("out");
    ASSERT_TRUE(write_text_atomically(path, "old").ok());
    FaultyFileSystem fs(failing);
    Status status;
    {
      auto file = AtomicFile::create(path, fs);
      ASSERT_TRUE(file.ok());
      status = (*file)->append(as_bytes("new "));
      if (status.ok()) status = (*file)->append(as_bytes("bytes"));
      if (status.ok()) status = (*file)->commit();
    }
    if (status.ok()) {
      EXPECT_EQ(contents(path), "new bytes");
      EXPECT_EQ(failing, 4);  // two writes, a sync, a rename
      break;
    }
    EXPECT_EQ(status.code(), StatusCode::kIo);
    EXPECT_EQ(contents(path), "old") << failing;
  }
}

TEST(AtomicFile, AKilledProcessLeavesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  ASSERT_TRUE(write_text_atomically(path, "old").ok());
  const pid_t child = ::fork();
  if (child == 0) {
    auto file = AtomicFile::create(path);
    if (file.ok()) (void)(*file)->append(as_bytes("half"));
    ::kill(::getpid(), SIGKILL);
  }
  int state = 0;
  ASSERT_EQ(::waitpid(child, &state, 0), child);
  ASSERT_TRUE(WIFSIGNALED(state));
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(contents(path + ".part"), "half");
}

TEST(AtomicFile, NeedsADirectory) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("absent/out");
  const Status status = AtomicFile::create(path).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find(path), std::string::npos);
}

TEST(MappedFile, ShowsTheBytesAndRefusesWhatIsNoFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("in");
  EXPECT_EQ(MappedFile::open(path).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::open(directory.file("")).status().code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(write_text_atomically(path, "").ok());
  EXPECT_TRUE((*MappedFile::open(path))->bytes().empty());
  const std::string large(100'000, 'x');
  ASSERT_TRUE(write_text_atomically(path, large).ok());
  const auto file = *MappedFile::open(path);
  // Released pages come back when they are read again.
  file->release(file->bytes().subspan(100));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()),
            large);
}

TEST(ReadText, HasALimit) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("in");
  ASSERT_TRUE(write_text_atomically(path, "12345").ok());
  EXPECT_EQ(*read_text(path, 5), "12345");
  EXPECT_EQ(read_text(path, 4).status().code(), StatusCode::kInvalidArgument);
}

TEST(SameFile, SeesThroughLinksAndSpellings) {
  const TemporaryDirectory directory;
  const std::string a = directory.file("a"), b = directory.file("b");
  ASSERT_TRUE(write_text_atomically(a, "same").ok());
  ASSERT_TRUE(write_text_atomically(b, "same").ok());
  std::filesystem::create_symlink(a, directory.file("soft"));
  std::filesystem::create_hard_link(a, directory.file("hard"));
  EXPECT_TRUE(same_file(a, a));
  EXPECT_TRUE(same_file(a, directory.file("soft")));
  EXPECT_TRUE(same_file(a, directory.file("hard")));
  EXPECT_TRUE(same_file(a, directory.file("./a")));
  EXPECT_FALSE(same_file(a, b));
  EXPECT_FALSE(same_file(a, directory.file("absent")));
  EXPECT_FALSE(same_file(directory.file("absent"), directory.file("absent")));
}

}  // namespace
}  // namespace pare

#include "compress/journal.h"

#include <gtest/gtest.h>

#include "base/faulty_file_system.h"

namespace pare {
namespace {

TEST(Journal, RemembersTheSameJobAndForgetsOthers) {
  const TemporaryDirectory directory;
  const std::string output = directory.file("out");
  {
    auto journal = Journal::open(output, "job 1");
    ASSERT_TRUE(journal.ok());
    EXPECT_TRUE((*journal)->finished().empty());
    ASSERT_TRUE((*journal)->add(4, "aa").ok());
    ASSERT_TRUE((*journal)->add(2, "bb").ok());
    ASSERT_TRUE((*journal)->add(4, "cc").ok());  // made again
  }
  {
    auto journal = Journal::open(output, "job 1");
    ASSERT_TRUE(journal.ok());
    EXPECT_EQ((*journal)->finished(), (std::map<size_t, std::string>{{2, "bb"}, {4, "cc"}}));
  }
  auto other = Journal::open(output, "job 2");
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE((*other)->finished().empty());
  ASSERT_TRUE((*other)->remove().ok());
  EXPECT_EQ(directory.count(), 0u);
}

TEST(Journal, LinesAfterATornOneAreStillRead) {
  const TemporaryDirectory directory;
  const std::string output = directory.file("out");
  ASSERT_TRUE((*Journal::open(output, "job"))->add(1, "aa").ok());
  std::string text = *read_text(output + ".journal");
  ASSERT_TRUE(write_text_atomically(output + ".journal", text + "{\"tensor\": 2, \"ha").ok());
  {
    auto journal = Journal::open(output, "job");
    ASSERT_TRUE(journal.ok());
    EXPECT_EQ((*journal)->finished().size(), 1u);
    // Written where the torn line began, so that it is a line of its own.
    ASSERT_TRUE((*journal)->add(3, "cc").ok());
  }
  auto journal = Journal::open(output, "job");
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ((*journal)->finished(), (std::map<size_t, std::string>{{1, "aa"}, {3, "cc"}}));
}

TEST(Journal, AFullDiskIsAnError) {
  const TemporaryDirectory directory;
  FaultyFileSystem none(0);
  EXPECT_EQ(Journal::open(directory.file("a"), "job", none).status().code(), StatusCode::kIo);
  FaultyFileSystem two(2);  // emptied, first line
  auto journal = Journal::open(directory.file("b"), "job", two);
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ((*journal)->add(0, "aa").code(), StatusCode::kIo);
}

}  // namespace
}  // namespace pare

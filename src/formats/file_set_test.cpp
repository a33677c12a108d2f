#include "formats/file_set.h"

#include "base/rng.h"
#include "formats/test_support.h"

namespace pare {
namespace {

using testing_support::expect_error;
using testing_support::FullDisk;
using testing_support::TempDirectory;

using Names = std::vector<std::string>;

std::span<const std::byte> view(const std::string& s) { return std::as_bytes(std::span(s)); }

// Two files: 3 tensors with padding between them, and 1 tensor.
FileSet plan_in(const TempDirectory& d, std::string_view name) {
  const std::string base = d.file(name);
  FileSet set;
  set.files = {{base + "1", "first header", 200}, {base + "2", "second header", 96}};
  set.places = {{"a", 0, 16, 50}, {"b", 0, 80, 33}, {"c", 1, 32, 64}, {"d", 0, 128, 72}};
  return set;
}

// Content that depends on the tensor and the position, so that bytes in a wrong place show.
std::string content(size_t index, uint64_t bytes) {
  Rng rng(index);
  std::string out;
  while (out.size() < bytes) out += static_cast<char>(rng.next());
  return out;
}

std::string expected_file(const FileSet& set, uint32_t file) {
  std::string bytes = set.files[file].header;
  bytes.resize(set.files[file].bytes, '\0');
  for (size_t i = 0; i < set.places.size(); ++i) {
    const auto& place = set.places[i];
    if (place.file == file) bytes.replace(place.offset, place.bytes, content(i, place.bytes));
  }
  return bytes;
}

void expect_written(const FileSet& set) {
  for (uint32_t f = 0; f < set.files.size(); ++f) {
    const auto text = read_text(set.files[f].path);
    ASSERT_OK(text);
    EXPECT_EQ(*text, expected_file(set, f));
  }
}

Status write_tensors(FileSetWriter& writer, std::initializer_list<size_t> indices) {
  for (size_t i : indices) {
    const std::string bytes = content(i, writer.files().places[i].bytes);
    PARE_RETURN_IF_ERROR(writer.write(i, view(bytes)));
  }
  return {};
}

Status write_all(const FileSet& set, FileSystem& fs = FileSystem::real()) {
  PARE_ASSIGN_OR_RETURN(auto writer, FileSetWriter::create(set, fs));
  PARE_RETURN_IF_ERROR(write_tensors(*writer, {0, 1, 2, 3}));
  return writer->commit();
}

TEST(FileSetWriterTest, NothingAppearsBeforeCommit) {
  TempDirectory d;
  const FileSet set = plan_in(d, "m");
  auto writer = FileSetWriter::create(set);
  ASSERT_OK(writer);
  ASSERT_OK(write_tensors(**writer, {3, 1, 0, 2}));
  EXPECT_EQ(d.names(), (Names{"m1.part", "m2.part"}));
  ASSERT_OK((*writer)->commit());
  EXPECT_EQ(d.names(), (Names{"m1", "m2"}));
  expect_written(set);
}

TEST(FileSetWriterTest, PiecesOfManyTensorsInterleaved) {
  TempDirectory d;
  const FileSet set = plan_in(d, "m");
  auto writer = FileSetWriter::create(set);
  ASSERT_OK(writer);
  bool more = true;
  for (uint64_t at = 0; more; ++at) {
    more = false;
    for (size_t i = set.places.size(); i-- > 0;) {
      if (at >= set.places[i].bytes) continue;
      const std::string bytes = content(i, set.places[i].bytes);
      ASSERT_OK((*writer)->write(i, view(bytes).subspan(at, 1)));
      more = true;
    }
  }
  ASSERT_OK((*writer)->commit());
  expect_written(set);
}

TEST(FileSetWriterTest, IncompleteTensorsAreNotCommitted) {
  TempDirectory d;
  d.write("m1", "what was there before");
  {
    auto writer = FileSetWriter::create(plan_in(d, "m"));
    ASSERT_OK(writer);
    ASSERT_OK(write_tensors(**writer, {0, 2, 3}));
    expect_error((*writer)->write(0, view("x")), StatusCode::kInternal,
                 "tensor a: more than its 50 bytes");
    expect_error((*writer)->commit(), StatusCode::kInternal, "tensor b: 0 of its 33 bytes");
  }
  EXPECT_EQ(d.names(), Names{"m1"});
  EXPECT_EQ(*read_text(d.file("m1")), "what was there before");
}

TEST(FileSetWriterTest, FullDiskAtAnyByteLeavesTheOldFile) {
  TempDirectory d;
  const FileSet set = plan_in(d, "m");
  uint64_t needed = set.files[0].header.size() + set.files[1].header.size();
  for (const auto& place : set.places) needed += place.bytes;
  for (uint64_t budget = 0; budget < needed; budget += 9) {
    SCOPED_TRACE(budget);
    d.write("m1", "old");
    FullDisk disk(budget);
    expect_error(write_all(set, disk), StatusCode::kIo, "no space left");
    EXPECT_EQ(d.names(), Names{"m1"});
    EXPECT_EQ(*read_text(d.file("m1")), "old");
  }
  FullDisk enough(needed);
  ASSERT_OK(write_all(set, enough));
  expect_written(set);
}

TEST(FileSetWriterTest, ResumedJobGivesTheSameBytes) {
  TempDirectory d;
  const FileSet set = plan_in(d, "m");
  expect_error(FileSetWriter::resume(set), StatusCode::kNotFound, "m1.part");
  {
    auto writer = FileSetWriter::create(set);
    ASSERT_OK(writer);
    ASSERT_OK(write_tensors(**writer, {2, 0}));
    // A piece of the next one, which the journal does not know of.
    ASSERT_OK((*writer)->write(1, view(std::string(5, 'x'))));
    (*writer)->keep_partial();
  }
  EXPECT_EQ(d.names(), (Names{"m1.part", "m2.part"}));
  auto writer = FileSetWriter::resume(set);
  ASSERT_OK(writer);
  (*writer)->mark_written(0);
  (*writer)->mark_written(2);
  EXPECT_FALSE((*writer)->is_written(1));
  ASSERT_OK(write_tensors(**writer, {1, 3}));
  ASSERT_OK((*writer)->commit());
  expect_written(set);
}

TEST(FileSetWriterTest, LeftoversOfAnotherJobAreNeitherContinuedNorKept) {
  TempDirectory d;
  const FileSet set = plan_in(d, "m");
  d.write("m1.part", std::string(10'000, 'z'));
  d.write("m2.part", std::string(set.files[1].bytes, 'z'));
  expect_error(FileSetWriter::resume(set), StatusCode::kNotFound, "does not belong");
  ASSERT_OK(write_all(set));
  expect_written(set);
}

}  // namespace
}  // namespace pare

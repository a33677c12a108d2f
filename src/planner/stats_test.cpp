#include "planner/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "formats/file_set.h"
#include "formats/gguf/writer.h"

namespace pare {
namespace {

using testing::HasSubstr;

std::string scratch(const std::string& name) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  return (std::filesystem::temp_directory_path() /
          ("pare_stats_test_" + std::string(test->name()) + name))
      .string();
}

TEST(Stats, ComeBackAsTheyWere) {
  CalibrationStats stats;
  stats.dataset = "notes.txt";
  stats.chunks = 7;
  stats.chunk_size = 512;
  stats.tensors["blk.0.attn_q.weight"] = {{1.0f, 2.5f, 0.0f}, 3584.0, {0.5f, 1.0f, 0.25f}, {3.0f}};
  stats.tensors["output.weight"] = {{4.0f}, 3584.0, {}, {}};
  stats.embedding_grad2 = {0.125f, 0.5f};
  const std::string path = scratch("round.gguf");
  ASSERT_TRUE(write_stats(path, stats).ok());
  auto read = read_stats(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->dataset, stats.dataset);
  EXPECT_EQ(read->chunks, 7u);
  EXPECT_EQ(read->chunk_size, 512u);
  ASSERT_EQ(read->tensors.size(), 2u);
  const TensorStats& q = read->tensors["blk.0.attn_q.weight"];
  EXPECT_EQ(q.in_sum2, stats.tensors["blk.0.attn_q.weight"].in_sum2);
  EXPECT_EQ(q.in_pivot, stats.tensors["blk.0.attn_q.weight"].in_pivot);
  EXPECT_EQ(q.out_grad2, stats.tensors["blk.0.attn_q.weight"].out_grad2);
  EXPECT_EQ(q.count, 3584.0);
  EXPECT_FLOAT_EQ(q.importance()[1], 2.5f / 3584.0f);
  EXPECT_EQ(read->embedding_grad2, stats.embedding_grad2);
  EXPECT_EQ(read->find("output.weight")->out_grad2.size(), 0u);
  EXPECT_EQ(read->find("nothing"), nullptr);
  std::filesystem::remove(path);
}

// A statistics file with one tensor of the given name and value.
std::string one_tensor(const std::string& name, const std::string& type, float value) {
  gguf::Metadata metadata;
  metadata.set("general.type", type);
  const std::vector<float> values = {1.0f, value};
  const std::vector<TensorInfo> infos = {{name, Shape{1, 2}, CodecId::kF32, 8}};
  const std::string path = scratch("bad.gguf");
  auto writer = FileSetWriter::create(*gguf::plan_files(path, metadata, infos));
  EXPECT_TRUE((*writer)->write(0, std::as_bytes(std::span(values))).ok());
  EXPECT_TRUE((*writer)->commit().ok());
  return path;
}

TEST(Stats, SayWhatIsWrongWithAFile) {
  const auto message = [](const std::string& path) { return read_stats(path).status().message(); };
  EXPECT_THAT(message(one_tensor("a.in_sum2", "model", 1.0f)), HasSubstr("imatrix"));
  EXPECT_THAT(message(one_tensor("a.in_sum2", "imatrix", -1.0f)), HasSubstr("a.in_sum2"));
  EXPECT_THAT(message(one_tensor("a.in_sum2", "imatrix", NAN)), HasSubstr("nan"));
  EXPECT_THAT(message(one_tensor("a.counts", "imatrix", 1.0f)), HasSubstr("a.in_sum2 is missing"));
  EXPECT_THAT(message(one_tensor("something", "imatrix", 1.0f)), HasSubstr("no statistics"));
  EXPECT_EQ(read_stats("/nonexistent.gguf").status().code(), StatusCode::kNotFound);
  std::filesystem::remove(scratch("bad.gguf"));
}

}  // namespace
}  // namespace pare

#include "base/rng.h"
#include "formats/safetensors/reader.h"
#include "formats/safetensors/writer.h"
#include "formats/test_support.h"

namespace pare::safetensors {
namespace {

using testing_support::expect_error;
using testing_support::FullDisk;
using testing_support::TempDirectory;
using testing_support::text_of;

std::string content(size_t index, uint64_t bytes) {
  Rng rng(index);
  std::string out;
  while (out.size() < bytes) out += static_cast<char>(rng.next());
  return out;
}

Status write(const FileSet& plan, FileSystem& fs = FileSystem::real()) {
  PARE_ASSIGN_OR_RETURN(auto writer, FileSetWriter::create(plan, fs));
  for (size_t i = 0; i < plan.places.size(); ++i) {
    const std::string bytes = content(i, plan.places[i].bytes);
    PARE_RETURN_IF_ERROR(writer->write(i, std::as_bytes(std::span(bytes))));
  }
  return writer->commit();
}

void expect_content(const std::vector<TensorSpec>& specs, const FileSet& plan, const File& file) {
  ASSERT_EQ(file.tensors().size(), specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    SCOPED_TRACE(specs[i].name);
    const int64_t at = file.find(specs[i].name);
    ASSERT_GE(at, 0);
    const auto index = static_cast<size_t>(at);
    EXPECT_EQ(file.tensors()[index].shape, specs[i].shape);
    EXPECT_EQ(file.dtype(index), specs[i].dtype);
    EXPECT_EQ(text_of(file.raw(index)), content(i, plan.places[i].bytes));
  }
}

const std::vector<TensorSpec> kSpecs = {
    {"bytes", Dtype::kU8, {3}},
    {"half", Dtype::kBF16, {3, 5}},
    {"a \"quoted\" \xc3\xa9", Dtype::kF32, {2, 3}},
    {"scalar", Dtype::kF64, {}},
    {"none", Dtype::kF16, {0, 4}},
    {"eight", Dtype::kF8E4M3, {7}},
};

TEST(SafetensorsRoundTripTest, OneFile) {
  TempDirectory d;
  LayoutOptions options;
  options.metadata = {{"format", "pt"}, {"note", "line\n\"two\""}};
  const auto plan = plan_files(d.file("m.safetensors"), kSpecs, options);
  ASSERT_OK(plan);
  ASSERT_OK(write(*plan));
  EXPECT_EQ(d.names(), std::vector<std::string>{"m.safetensors"});
  EXPECT_EQ(read_text(d.file("m.safetensors"))->size(), plan->bytes());
  const auto file = File::open(d.file("m.safetensors"));
  ASSERT_OK(file);
  EXPECT_EQ((*file)->metadata(), options.metadata);
  expect_content(kSpecs, *plan, **file);
  for (size_t i = 0; i < kSpecs.size(); ++i) {
    const auto width = static_cast<uint64_t>(dtype_info(kSpecs[i].dtype).bits) / 8;
    EXPECT_EQ(plan->places[i].offset % width, 0u) << "data are aligned: " << kSpecs[i].name;
  }
}

TEST(SafetensorsRoundTripTest, RandomStructures) {
  TempDirectory d;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    std::vector<TensorSpec> specs;
    for (uint64_t i = 0, n = rng.below(20); i < n; ++i) {
      std::vector<int64_t> extents;
      for (uint64_t rank = rng.below(7); rank-- > 0;) {
        extents.push_back(static_cast<int64_t>(rng.below(4)));
      }
      const Dtype dtypes[] = {Dtype::kBool, Dtype::kI16, Dtype::kF16, Dtype::kF32, Dtype::kI64};
      specs.push_back({fmt::format("t{}", i), dtypes[rng.below(5)], Shape(extents)});
    }
    LayoutOptions options;
    options.max_shard_bytes = rng.below(2) == 0 ? 0 : 20'000 + rng.below(40'000);
    const auto plan = plan_files(d.file("m.safetensors"), specs, options);
    ASSERT_OK(plan);
    ASSERT_OK(write(*plan));
    const auto file = plan->files.size() == 1 ? File::open(plan->files[0].path)
                                              : File::open_index(plan->files[0].path);
    ASSERT_OK(file);
    expect_content(specs, *plan, **file);
  }
}

TEST(SafetensorsRoundTripTest, ShardsKeepTheirLimit) {
  TempDirectory d;
  std::vector<TensorSpec> specs;
  for (int i = 0; i < 10; ++i) specs.push_back({fmt::format("t{}", i), Dtype::kF32, {10, 10}});
  LayoutOptions options;
  options.max_shard_bytes = 1500;
  const auto plan = plan_files(d.file("model.safetensors"), specs, options);
  ASSERT_OK(plan);
  ASSERT_OK(write(*plan));
  ASSERT_EQ(plan->files.size(), 6u);  // 3 in each shard but the last, and the index
  EXPECT_EQ(plan->files[0].path, d.file("model.safetensors.index.json"));
  for (size_t f = 1; f < plan->files.size(); ++f) {
    EXPECT_LE(plan->files[f].bytes, options.max_shard_bytes);
    EXPECT_EQ(read_text(plan->files[f].path)->size(), plan->files[f].bytes);
  }
  const auto file = File::open_index(plan->files[0].path);
  ASSERT_OK(file);
  expect_content(specs, *plan, **file);
  options.max_shard_bytes = 400;
  expect_error(plan_files("m", specs, options), StatusCode::kInvalidArgument,
               "more than the limit of 400");
}

TEST(SafetensorsRoundTripTest, FullDiskLeavesNothing) {
  TempDirectory d;
  const auto plan = plan_files(d.file("m.safetensors"), kSpecs);
  ASSERT_OK(plan);
  for (uint64_t budget = 0; budget < plan->bytes(); budget += 29) {
    FullDisk disk(budget);
    expect_error(write(*plan, disk), StatusCode::kIo, "no space left");
    EXPECT_TRUE(d.names().empty());
  }
}

TEST(SafetensorsRoundTripTest, WriterRefusesBadNames) {
  const auto plan = [](const char* name) {
    return plan_files("m", std::vector<TensorSpec>{{name, Dtype::kF32, {1}}});
  };
  expect_error(plan(""), StatusCode::kInvalidArgument, "empty");
  expect_error(plan("__metadata__"), StatusCode::kInvalidArgument, "reserved");
  expect_error(plan("\xff"), StatusCode::kInvalidArgument, "not UTF-8");
  const std::vector<TensorSpec> twice = {{"t", Dtype::kF32, {1}}, {"t", Dtype::kF32, {1}}};
  expect_error(plan_files("m", twice), StatusCode::kInvalidArgument, "occurs twice");
  const std::vector<TensorInfo> packed = {{"t", {32}, CodecId::kQ4_0}};
  expect_error(specs_of(packed), StatusCode::kUnsupported, "no dtype for Q4_0");
}

}  // namespace
}  // namespace pare::safetensors

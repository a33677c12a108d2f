// What the writer writes, the reader reads: random structures, every codec, split files.

#include <cstring>

#include "base/rng.h"
#include "codecs/codec.h"
#include "formats/gguf/format.h"
#include "formats/gguf/reader.h"
#include "formats/gguf/writer.h"
#include "formats/test_support.h"

namespace pare::gguf {
namespace {

using testing_support::expect_error;
using testing_support::TempDirectory;
using testing_support::text_of;

// Content that depends on the tensor and the position, so that bytes in a wrong place show.
std::string content(size_t index, uint64_t bytes) {
  Rng rng(index);
  std::string out;
  while (out.size() < bytes) out += static_cast<char>(rng.next());
  return out;
}

std::span<const std::byte> view(const std::string& s) { return std::as_bytes(std::span(s)); }

struct Sample {
  Metadata metadata;
  std::vector<TensorInfo> tensors;
};

// 3 matrices and a vector of different codecs, with padding after some.
Sample small_sample() {
  Sample s;
  s.metadata.set("general.architecture", "test");
  s.metadata.set("test.block_count", uint32_t{3});
  s.tensors = {{"blk.0.w", {3, 64}, CodecId::kQ4_0},
               {"blk.1.w", {5, 32}, CodecId::kQ8_0},
               {"norm", {7}, CodecId::kF32},
               {"blk.2.w", {2, 2, 32}, CodecId::kF16}};
  return s;
}

Status write_sample(const Sample& s, const std::string& path, const LayoutOptions& options = {}) {
  PARE_ASSIGN_OR_RETURN(FileSet set, plan_files(path, s.metadata, s.tensors, options));
  PARE_ASSIGN_OR_RETURN(auto writer, FileSetWriter::create(std::move(set)));
  for (size_t i = 0; i < writer->files().places.size(); ++i) {
    const std::string bytes = content(i, writer->files().places[i].bytes);
    PARE_RETURN_IF_ERROR(writer->write(i, view(bytes)));
  }
  return writer->commit();
}

void expect_sample(const Sample& s, const File& file) {
  EXPECT_EQ(file.metadata(), s.metadata);
  ASSERT_EQ(file.tensors().size(), s.tensors.size());
  for (size_t i = 0; i < s.tensors.size(); ++i) {
    SCOPED_TRACE(s.tensors[i].name);
    EXPECT_EQ(file.tensors()[i].name, s.tensors[i].name);
    EXPECT_EQ(file.tensors()[i].shape, s.tensors[i].shape);
    EXPECT_EQ(file.tensors()[i].codec, s.tensors[i].codec);
    const auto tensor = file.read(i);
    ASSERT_OK(tensor);
    const uint64_t bytes = codec(s.tensors[i].codec).tensor_bytes(s.tensors[i].shape);
    EXPECT_EQ(text_of(tensor->bytes), content(i, bytes));
  }
}

TEST(GgufRoundTripTest, SizeIsKnownFirstAndPaddingIsZero) {
  TempDirectory d;
  const Sample s = small_sample();
  const std::string path = d.file("m.gguf");
  const auto plan = plan_files(path, s.metadata, s.tensors);
  ASSERT_OK(plan);
  ASSERT_OK(write_sample(s, path));
  const std::string bytes = *read_text(path);
  EXPECT_EQ(bytes.size(), plan->bytes());
  EXPECT_EQ(d.names(), std::vector<std::string>{"m.gguf"});

  uint64_t sum = *header_bytes(s.metadata, s.tensors);
  for (const auto& place : plan->places) sum += align_up(place.bytes, kDefaultAlignment);
  EXPECT_EQ(sum, plan->bytes());
  for (size_t i = 0; i < plan->places.size(); ++i) {
    const auto& place = plan->places[i];
    EXPECT_EQ(place.offset % kDefaultAlignment, 0u);
    const uint64_t end = place.offset + place.bytes;
    const std::string padding = bytes.substr(end, align_up(end, kDefaultAlignment) - end);
    EXPECT_EQ(padding, std::string(padding.size(), '\0')) << place.name;
  }
  const auto file = File::open(path);
  ASSERT_OK(file);
  expect_sample(s, **file);
}

TEST(GgufRoundTripTest, EveryCodecThatGgufHolds) {
  TempDirectory d;
  Sample s;
  for (const Codec& c : all_codecs()) {
    if (c.gguf_type >= 0) s.tensors.push_back({c.name, {2, 3, 2 * c.block_len}, c.id});
  }
  ASSERT_GE(s.tensors.size(), 30u);
  ASSERT_OK(write_sample(s, d.file("m.gguf")));
  const auto file = File::open(d.file("m.gguf"));
  ASSERT_OK(file);
  expect_sample(s, **file);
}

template <Number T>
Value random_numbers(Rng& rng, bool array) {
  const auto one = [&] {
    if constexpr (std::same_as<T, bool>) return rng.below(2) == 1;
    const uint64_t bits = rng.next();
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  };
  if (!array) return Value(T(one()));
  std::string bytes;
  for (uint64_t n = rng.below(20); n-- > 0;) {
    const T value = one();
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  return Value(Array::from_bytes(value_type_of<T>(), view(bytes)));
}

std::string random_text(Rng& rng, uint64_t limit) {
  std::string text;
  for (uint64_t n = rng.below(limit); n-- > 0;) text += static_cast<char>(rng.next());
  return text;
}

Value random_value(Rng& rng) {
  const bool array = rng.below(3) == 0;
  switch (rng.below(12)) {
    case 0:
      return random_numbers<uint8_t>(rng, array);
    case 1:
      return random_numbers<int8_t>(rng, array);
    case 2:
      return random_numbers<uint16_t>(rng, array);
    case 3:
      return random_numbers<int16_t>(rng, array);
    case 4:
      return random_numbers<uint32_t>(rng, array);
    case 5:
      return random_numbers<int32_t>(rng, array);
    case 6:
      return random_numbers<float>(rng, array);
    case 7:
      return random_numbers<bool>(rng, array);
    case 8:
      return random_numbers<uint64_t>(rng, array);
    case 9:
      return random_numbers<int64_t>(rng, array);
    case 10:
      return random_numbers<double>(rng, array);
    default:
      break;
  }
  if (!array) return Value(random_text(rng, 100));
  std::vector<std::string> strings;
  for (uint64_t n = rng.below(20); n-- > 0;) strings.push_back(random_text(rng, 10));
  return Value(Array::of(strings));
}

TEST(GgufRoundTripTest, RandomStructures) {
  TempDirectory d;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Sample s;
    if (rng.below(2) == 0) s.metadata.set("general.alignment", uint32_t{1} << rng.below(10));
    for (uint64_t n = rng.below(30); n-- > 0;) {
      s.metadata.set(fmt::format("key.{}", rng.below(1000)), random_value(rng));
    }
    const auto codecs = all_codecs();
    for (uint64_t i = 0, n = rng.below(12); i < n; ++i) {
      const Codec& c = codecs[rng.below(codecs.size())];
      if (c.gguf_type < 0) continue;
      std::vector<int64_t> extents;
      for (uint64_t rank = rng.below(4); rank-- > 0;) {
        extents.push_back(static_cast<int64_t>(rng.below(4)));
      }
      if (!extents.empty() || c.block_len > 1) {
        extents.push_back(c.block_len * static_cast<int64_t>(rng.below(4)));
      }
      s.tensors.push_back({fmt::format("tensor.{}", i), Shape(extents), c.id});
    }
    const std::string path = d.file("m.gguf");
    ASSERT_OK(write_sample(s, path));
    const auto file = File::open(path);
    ASSERT_OK(file);
    expect_sample(s, **file);
  }
}

TEST(GgufRoundTripTest, SplitFilesKeepTheirLimitAndReadAsOne) {
  TempDirectory d;
  Sample s = small_sample();
  s.metadata.set("general.alignment", uint32_t{64});
  for (int i = 3; i < 12; ++i) {
    s.tensors.push_back({fmt::format("blk.{}.w", i), {4, 64}, CodecId::kF32});
  }
  const LayoutOptions options{.split_max_bytes = 4000};
  const auto plan = plan_files(d.file("m.gguf"), s.metadata, s.tensors, options);
  ASSERT_OK(plan);
  ASSERT_GT(plan->files.size(), 2u);
  ASSERT_OK(write_sample(s, d.file("m.gguf"), options));
  for (const auto& planned : plan->files) {
    EXPECT_LE(planned.bytes, options.split_max_bytes);
    EXPECT_EQ(read_text(planned.path)->size(), planned.bytes);
  }
  const auto count = static_cast<uint32_t>(plan->files.size());
  EXPECT_EQ(plan->files[0].path, part_path(d.file("m"), 1, count));
  for (uint32_t part : {1u, 2u, count}) {
    const auto file = File::open(part_path(d.file("m"), part, count));
    ASSERT_OK(file);
    EXPECT_EQ((*file)->parts(), count);
    expect_sample(s, **file);
  }
}

TEST(GgufRoundTripTest, SplitLimitThatCannotBeKept) {
  const Sample s = small_sample();
  expect_error(plan_files("m.gguf", s.metadata, s.tensors, {.split_max_bytes = 300}),
               StatusCode::kInvalidArgument, "more than the limit of 300");
}

TEST(GgufRoundTripTest, WriterRefusesWhatRuntimesRefuse) {
  const auto plan = [](TensorInfo info) { return plan_files("m.gguf", {}, std::vector{info}); };
  EXPECT_TRUE(plan({std::string(63, 'n'), {4}, CodecId::kF32}).ok());
  expect_error(plan({std::string(64, 'n'), {4}, CodecId::kF32}), StatusCode::kInvalidArgument,
               "a name of 64 bytes");
  expect_error(plan({"t", {1, 1, 1, 1, 4}, CodecId::kF32}), StatusCode::kUnsupported,
               "at most 4 dimensions");
  expect_error(plan({"t", {48}, CodecId::kQ4_0}), StatusCode::kInvalidArgument,
               "tensor t: rows of 48 values");
  const std::vector<TensorInfo> twice = {{"t", {4}, CodecId::kF32}, {"t", {4}, CodecId::kF32}};
  expect_error(plan_files("m.gguf", {}, twice), StatusCode::kInvalidArgument, "occurs twice");
  Metadata odd;
  odd.set("general.alignment", uint32_t{48});
  expect_error(plan_files("m.gguf", odd, {}), StatusCode::kInvalidArgument, "power of two");
}

}  // namespace
}  // namespace pare::gguf

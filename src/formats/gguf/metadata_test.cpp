#include "formats/gguf/metadata.h"

#include <limits>

#include "formats/test_support.h"

namespace pare::gguf {
namespace {

using testing_support::expect_error;

TEST(MetadataTest, IntegersReadAtAnyWidthThatHoldsThem) {
  Metadata m;
  m.set("u8", uint8_t{200});
  m.set("i32", -3);
  m.set("u64", std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*m.get_u32("u8"), 200u);
  EXPECT_EQ(*m.get_i64("u8"), 200);
  EXPECT_EQ(*m.get_f32("u8"), 200.0f);
  EXPECT_EQ(*m.get_i64("i32"), -3);
  EXPECT_EQ(*m.get_u64("u64"), std::numeric_limits<uint64_t>::max());
  expect_error(m.get_u32("i32"), StatusCode::kCorrupt,
               "metadata key i32: found i32 (-3), expected u32");
  expect_error(m.get_i64("u64"), StatusCode::kCorrupt, "expected i64");
}

TEST(MetadataTest, KindsDoNotMix) {
  Metadata m;
  m.set("flag", true);
  m.set("text", "yes");
  m.set("float", 1.0f);
  expect_error(m.get_u32("flag"), StatusCode::kCorrupt, "found bool (true), expected u32");
  expect_error(m.get_bool("text"), StatusCode::kCorrupt, "found string (\"yes\"), expected bool");
  expect_error(m.get_u32("float"), StatusCode::kCorrupt, "found f32");
  expect_error(m.get_string("flag"), StatusCode::kCorrupt, "expected string");
  expect_error(m.get_string("none"), StatusCode::kNotFound, "metadata key none is missing");
}

TEST(MetadataTest, FallbackIsForAbsentKeysOnly) {
  Metadata m;
  m.set("text", "yes");
  EXPECT_EQ(*m.get_u32("none", 7), 7u);
  EXPECT_EQ(*m.get_string("none", "x"), "x");
  expect_error(m.get_u32("text", 7), StatusCode::kCorrupt, "found string");
}

TEST(MetadataTest, KeepsOrderThroughSetAndErase) {
  Metadata m;
  for (const char* key : {"a", "b", "c", "d"}) m.set(key, 1);
  m.set("b", 2);
  EXPECT_TRUE(m.erase("a"));
  EXPECT_FALSE(m.erase("a"));
  m.set("e", 5);
  std::string order;
  for (const auto& [key, value] : m) order += key;
  EXPECT_EQ(order, "bcde");
  EXPECT_EQ(*m.get_i32("b"), 2);
  EXPECT_EQ(*m.get_i32("e"), 5);
  EXPECT_FALSE(m.contains("a"));
}

TEST(MetadataTest, Arrays) {
  Metadata m;
  m.set("tokens", Array::of(std::vector<std::string>{"a", "", "long token"}));
  m.set("types", Array::of(std::vector<int32_t>{1, -2, 3}));
  m.set("scores", Array::of(std::vector<float>{0.5f, -1.0f}));
  m.set("big", Array::of(std::vector<uint64_t>{std::numeric_limits<uint64_t>::max()}));
  const Array tokens = *m.get_strings("tokens");
  ASSERT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens.string(0), "a");
  EXPECT_EQ(tokens.string(1), "");
  EXPECT_EQ(tokens.string(2), "long token");
  EXPECT_EQ(*m.get_ints("types"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(*m.get_floats("scores"), (std::vector<float>{0.5f, -1.0f}));
  EXPECT_EQ(m.find("tokens")->to_string(2), R"(["a", "", ... (3 in all)])");
  expect_error(m.get_strings("types"), StatusCode::kCorrupt, "found array of i32");
  expect_error(m.get_ints("scores"), StatusCode::kCorrupt, "found array of f32");
  expect_error(m.get_ints("big"), StatusCode::kCorrupt, "expected array of integers");
}

TEST(MetadataTest, PerBlockNumbersAreOneOrAll) {
  Metadata m;
  m.set("one", uint32_t{4});
  m.set("all", Array::of(std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(*m.get_u32_per_block("one", 3), (std::vector<uint32_t>{4, 4, 4}));
  EXPECT_EQ(*m.get_u32_per_block("all", 3), (std::vector<uint32_t>{1, 2, 3}));
  expect_error(m.get_u32_per_block("all", 4), StatusCode::kCorrupt, "one u32, or an array of 4");
}

TEST(MetadataTest, TextForPeopleIsCutAndEscaped) {
  EXPECT_EQ(Value("a\"b\n\x1b[31m").to_string(), R"("a\"b\n\x1b[31m")");
  EXPECT_EQ(Value(std::string(200, 'x')).to_string(8, 4), R"("xxxx"... (200 bytes))");
}

TEST(MetadataTest, EqualityComparesTypesAndBits) {
  EXPECT_NE(Value(uint32_t{1}), Value(int32_t{1}));
  EXPECT_EQ(Value(std::numeric_limits<float>::quiet_NaN()),
            Value(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_NE(Value(0.0f), Value(-0.0f));
  EXPECT_NE(Value(Array::of(std::vector<std::string>{"ab", "c"})),
            Value(Array::of(std::vector<std::string>{"a", "bc"})));
}

}  // namespace
}  // namespace pare::gguf

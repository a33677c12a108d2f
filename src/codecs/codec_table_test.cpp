// What holds for every line of the table.
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <set>
#include <string>

#include "codecs/codec.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

TEST(CodecTable, IdsFollowTheEnumAndNamesAreUnique) {
  int expected = 0;
  std::set<std::string> names;
  std::set<int> types;
  for (const Codec& c : all_codecs()) {
    EXPECT_EQ(static_cast<int>(c.id), expected++) << c.name;
    EXPECT_EQ(&codec(c.id), &c);
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    EXPECT_TRUE(c.gguf_type < 0 || types.insert(c.gguf_type).second) << c.name;
    EXPECT_NE(c.decode_row, nullptr) << c.name;
  }
  EXPECT_EQ(expected, static_cast<int>(CodecId::kQ2_0) + 1);
  // Removed from GGUF, or not its own yet: nobody may claim them.
  for (int type : {4, 5, 31, 32, 33, 36, 37, 38, 43, -1}) {
    EXPECT_EQ(find_codec_by_gguf_type(type), nullptr) << type;
  }
}

TEST(CodecTable, IsFoundByNameInAnyCase) {
  for (const Codec& c : all_codecs()) {
    std::string lower = c.name;
    for (char& ch : lower) ch = static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
    EXPECT_EQ(find_codec(c.name), &c);
    EXPECT_EQ(find_codec(lower), &c);
  }
  EXPECT_EQ(find_codec("Q4"), nullptr);
  EXPECT_EQ(find_codec(""), nullptr);
}

TEST(CodecTable, LayoutsAreThoseOfGguf) {
  const struct {
    const char* name;
    int type, columns, bytes;
  } kFacts[] = {
      {"F32", 0, 1, 4},         {"F16", 1, 1, 2},         {"BF16", 30, 1, 2},
      {"I8", 24, 1, 1},         {"I16", 25, 1, 2},        {"I32", 26, 1, 4},
      {"I64", 27, 1, 8},        {"F64", 28, 1, 8},        {"Q4_0", 2, 32, 18},
      {"Q4_1", 3, 32, 20},      {"Q5_0", 6, 32, 22},      {"Q5_1", 7, 32, 24},
      {"Q8_0", 8, 32, 34},      {"Q8_1", 9, 32, 36},      {"Q2_K", 10, 256, 84},
      {"Q3_K", 11, 256, 110},   {"Q4_K", 12, 256, 144},   {"Q5_K", 13, 256, 176},
      {"Q6_K", 14, 256, 210},   {"Q8_K", 15, 256, 292},   {"IQ2_XXS", 16, 256, 66},
      {"IQ2_XS", 17, 256, 74},  {"IQ3_XXS", 18, 256, 98}, {"IQ1_S", 19, 256, 50},
      {"IQ4_NL", 20, 32, 18},   {"IQ3_S", 21, 256, 110},  {"IQ2_S", 22, 256, 82},
      {"IQ4_XS", 23, 256, 136}, {"IQ1_M", 29, 256, 56},   {"TQ1_0", 34, 256, 54},
      {"TQ2_0", 35, 256, 66},   {"MXFP4", 39, 32, 17},    {"NVFP4", 40, 64, 36},
      {"Q1_0", 41, 128, 18},    {"Q2_0", 42, 64, 18},
  };
  EXPECT_EQ(std::size(kFacts), all_codecs().size());
  for (const auto& fact : kFacts) {
    const Codec* c = find_codec(fact.name);
    ASSERT_NE(c, nullptr) << fact.name;
    EXPECT_EQ(c->gguf_type, fact.type) << fact.name;
    EXPECT_EQ(c->block_len, fact.columns) << fact.name;
    EXPECT_EQ(c->block_bytes, fact.bytes) << fact.name;
    EXPECT_EQ(find_codec_by_gguf_type(fact.type), c);
  }
  EXPECT_EQ(find_codec("Q4_K")->row_bytes(512), 288u);
  EXPECT_EQ(find_codec("Q6_K")->tensor_bytes(Shape{3, 5, 256}), 15u * 210u);
  EXPECT_DOUBLE_EQ(find_codec("Q5_1")->bits_per_weight(), 6.0);
}

TEST(CodecTable, FallbacksHaveSmallerBlocksAndAreEncodable) {
  for (const Codec& c : all_codecs()) {
    if (!c.fallback) continue;
    const Codec& f = codec(*c.fallback);
    EXPECT_LT(f.block_len, c.block_len) << c.name;
    EXPECT_NE(f.encode_row, nullptr) << c.name;
  }
  EXPECT_EQ(find_codec("IQ2_S")->fallback, CodecId::kIQ4_NL);
  EXPECT_EQ(find_codec("TQ1_0")->fallback, CodecId::kQ4_0);
  EXPECT_EQ(find_codec("Q4_K")->fallback, CodecId::kQ5_0);
}

TEST(CodecDecode, AnyBytesAreHarmless) {
  Rng rng(15);
  for (const Codec& c : all_codecs()) {
    const size_t size = static_cast<size_t>(c.block_bytes) * 64;
    std::vector<std::byte> bytes = random_bytes(rng, size);
    for (int fill : {-1, 0x00, 0xff, 0x7f}) {
      if (fill >= 0) bytes.assign(size, static_cast<std::byte>(fill));
      const std::vector<float> y = decode(c, bytes, static_cast<size_t>(c.block_len) * 64);
      if (fill == 0) {
        EXPECT_EQ(std::fabs(y[0]), 0.0f) << c.name;
      }
    }
    c.decode_row(bytes.data(), nullptr, 0);
  }
}

TEST(CodecDecode, IntegersBecomeFloats) {
  const int16_t shorts[] = {-32768, -1, 0, 32767};
  float out[4];
  find_codec("I16")->decode_row(reinterpret_cast<const std::byte*>(shorts), out, 4);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], static_cast<float>(shorts[i]));
  const int64_t longs[] = {int64_t{1} << 40, -(int64_t{1} << 62)};
  find_codec("I64")->decode_row(reinterpret_cast<const std::byte*>(longs), out, 2);
  EXPECT_EQ(out[0], 0x1p40f);
  EXPECT_EQ(out[1], -0x1p62f);
  EXPECT_FALSE(find_codec("I64")->is_float());
  EXPECT_TRUE(find_codec("F64")->is_float());
}

}  // namespace
}  // namespace pare

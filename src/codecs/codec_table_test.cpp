// What holds for every line of the table.
#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <limits>
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

// All codecs that can write weights, in one parameterised suite.
class EveryEncoder : public testing::TestWithParam<const Codec*> {
 protected:
  const Codec& c = *GetParam();
  // The lattice types search a codebook by brute force: fewer rows of them.
  size_t columns() const { return 512; }
  size_t rows() const { return c.encode_row == nullptr ? 2 : 48; }
};

std::vector<const Codec*> encoders() {
  std::vector<const Codec*> found;
  for (const Codec& c : all_codecs()) {
    if (c.encode_row != nullptr || c.grid != nullptr) found.push_back(&c);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Codecs, EveryEncoder, testing::ValuesIn(encoders()),
                         [](const auto& param) { return std::string(param.param->name); });

TEST_P(EveryEncoder, ErrorBoundHoldsAndIsTight) {
  Rng rng(1);
  const std::vector<float> x = normal_row(rng, columns() * rows());
  const double error = relative_error(x, decode(c, encode(c, x, nullptr), x.size()));
  EXPECT_LE(error, c.error_bound);
  EXPECT_GE(error, 0.5 * c.error_bound) << "the bound says little";
}

TEST_P(EveryEncoder, ErrorDoesNotDependOnTheUnit) {
  // Weights of a real model are 100 times smaller than 1; NVFP4 alone has scales that lose
  // precision there (below 2^-6), and F16 its subnormals.
  Rng rng(2);
  const std::vector<float> x = normal_row(rng, columns() * 2, 0.02);
  const double error = relative_error(x, decode(c, encode(c, x, nullptr), x.size()));
  EXPECT_LE(error, 1.25 * c.error_bound);
}

TEST_P(EveryEncoder, ImportanceLowersTheWeightedError) {
  Rng rng(3);
  double plain = 0.0;
  double weighted = 0.0;
  for (size_t r = 0; r < rows(); ++r) {
    const std::vector<float> x = normal_row(rng, columns());
    const std::vector<float> w = importance_row(rng, columns());
    const double without = relative_error(x, decode(c, encode(c, x, nullptr), x.size()), w.data());
    const double with = relative_error(x, decode(c, encode(c, x, w.data()), x.size()), w.data());
    plain += without * without;
    weighted += with * with;
  }
  EXPECT_LE(weighted, plain);
  if (c.block_len > 1 && c.id != CodecId::kQ8_0) {
    EXPECT_LT(weighted, 0.99 * plain);
  }
}

TEST_P(EveryEncoder, ZeroRowsStayZero) {
  const std::vector<float> zeros(columns(), 0.0f);
  for (const float* w : {static_cast<const float*>(nullptr), zeros.data()}) {
    for (float v : decode(c, encode(c, zeros, w), zeros.size())) ASSERT_EQ(v, 0.0f);
  }
}

TEST_P(EveryEncoder, ConstantRowsAreKept) {
  for (float constant : {0.37f, -0.0123f, 5.0f}) {
    const std::vector<float> x(columns(), constant);
    const double error = relative_error(x, decode(c, encode(c, x, nullptr), x.size()));
    EXPECT_LE(error, 2.0 * c.error_bound) << constant;
  }
}

TEST_P(EveryEncoder, AllZeroImportanceIsNoImportance) {
  Rng rng(4);
  const std::vector<float> x = normal_row(rng, columns());
  const std::vector<float> none(columns(), 0.0f);
  const double plain = relative_error(x, decode(c, encode(c, x, nullptr), x.size()));
  const double error = relative_error(x, decode(c, encode(c, x, none.data()), x.size()));
  EXPECT_LE(error, 1.1 * plain);
}

TEST_P(EveryEncoder, ExtremeImportanceDoesNotOverflow) {
  Rng rng(5);
  const std::vector<float> x = normal_row(rng, columns());
  const double plain = relative_error(x, decode(c, encode(c, x, nullptr), x.size()));
  for (float scale : {1e-30f, 1e30f}) {
    const std::vector<float> w(columns(), scale);
    const double error = relative_error(x, decode(c, encode(c, x, w.data()), x.size()));
    EXPECT_LE(error, 1.1 * plain) << scale;
  }
}

TEST_P(EveryEncoder, ExtremeWeightsGiveFiniteValues) {
  if (c.is_float()) GTEST_SKIP() << "rounds to infinity, as IEEE 754 says";
  Rng rng(6);
  const float kMax = std::numeric_limits<float>::max();
  for (float scale : {1e-44f, 1e-38f, 1e-20f, 1e-8f, 6e4f, 1e6f, 1e20f, kMax}) {
    std::vector<float> x(columns());
    for (float& v : x) v = static_cast<float>(2.0 * rng.uniform() - 1.0) * scale;
    x[0] = scale;
    const std::vector<float> y = decode(c, encode(c, x, nullptr), x.size());
    for (float v : y) {
      ASSERT_TRUE(std::isfinite(v)) << scale << " gave " << v;
      ASSERT_LE(std::fabs(v), 2.0f * scale + 0x1p-20f) << scale << " gave " << v;
    }
  }
}

TEST_P(EveryEncoder, AnOutlierDoesNotSpoilOtherBlocks) {
  Rng rng(7);
  std::vector<float> x = normal_row(rng, columns());
  const std::vector<float> before = decode(c, encode(c, x, nullptr), x.size());
  x[columns() - 1] = 1e4f;
  const std::vector<float> after = decode(c, encode(c, x, nullptr), x.size());
  for (size_t i = 0; i < 256; ++i) ASSERT_EQ(before[i], after[i]) << i;
}

TEST_P(EveryEncoder, NotANumberAndInfinityAreHarmless) {
  Rng rng(8);
  std::vector<float> x = normal_row(rng, columns());
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[40] = std::numeric_limits<float>::infinity();
  x[300] = -std::numeric_limits<float>::infinity();
  const std::vector<float> w = importance_row(rng, columns());
  const std::vector<float> y = decode(c, encode(c, x, w.data()), x.size());
  if (c.is_float()) {
    EXPECT_TRUE(std::isnan(y[3]) && std::isinf(y[40]));
  }
}

TEST_P(EveryEncoder, UnalignedBytesGiveTheSame) {
  Rng rng(9);
  const std::vector<float> x = normal_row(rng, columns());
  const std::vector<std::byte> aligned = encode(c, x, nullptr);
  std::vector<std::byte> shifted(aligned.size() + 1);
  if (c.encode_row != nullptr) {
    c.encode_row(x.data(), nullptr, shifted.data() + 1, static_cast<int64_t>(x.size()));
    EXPECT_TRUE(std::equal(aligned.begin(), aligned.end(), shifted.begin() + 1));
  }
  std::copy(aligned.begin(), aligned.end(), shifted.begin() + 1);
  std::vector<float> y(x.size());
  c.decode_row(shifted.data() + 1, y.data(), static_cast<int64_t>(y.size()));
  EXPECT_EQ(y, decode(c, aligned, x.size()));
}

TEST_P(EveryEncoder, ARowIsItsBlocks) {
  Rng rng(10);
  const size_t n = static_cast<size_t>(c.block_len) * (c.encode_row == nullptr ? 3 : 19);
  const std::vector<float> x = normal_row(rng, n);
  const std::vector<float> w = importance_row(rng, n);
  const std::vector<std::byte> whole = encode(c, x, w.data());
  const size_t len = static_cast<size_t>(c.block_len);
  for (size_t b = 0; b < n / len; ++b) {
    const std::vector<float> part(x.begin() + static_cast<long>(b * len),
                                  x.begin() + static_cast<long>((b + 1) * len));
    const std::vector<std::byte> bytes = encode(c, part, w.data() + b * len);
    ASSERT_TRUE(
        std::equal(bytes.begin(), bytes.end(), whole.begin() + static_cast<long>(b * bytes.size())))
        << "block " << b;
  }
}

// Random bytes through the grid: the other description of the same format.
class EveryGrid : public EveryEncoder {};

std::vector<const Codec*> grids() {
  std::vector<const Codec*> found;
  for (const Codec& c : all_codecs()) {
    if (c.grid != nullptr) found.push_back(&c);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Codecs, EveryGrid, testing::ValuesIn(grids()),
                         [](const auto& param) { return std::string(param.param->name); });

TEST_P(EveryGrid, ShapeIsConsistent) {
  const Grid& grid = *c.grid;
  EXPECT_EQ(grid.fit_span() % c.block_len, 0);
  EXPECT_EQ(grid.fit_span() % grid.group_len(), 0);
  EXPECT_EQ(grid.group_len() % grid.round_unit(), 0);
  EXPECT_LE(grid.fit_span() / grid.group_len(), SpanParams::kMaxGroups);
}

TEST_P(EveryGrid, UnpackedBytesMeanWhatDecodeSays) {
  Rng rng(11);
  const Grid& grid = *c.grid;
  const size_t span = static_cast<size_t>(grid.fit_span());
  const int unit = grid.round_unit();
  int compared = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<std::byte> bytes =
        random_bytes(rng, static_cast<size_t>(c.row_bytes(grid.fit_span())));
    const std::vector<float> expected = decode(c, bytes, span);
    SpanParams params;
    std::vector<int32_t> codes(span / static_cast<size_t>(unit));
    grid.unpack(bytes.data(), &params, codes.data());
    if (!std::isfinite(params.d) || !std::isfinite(params.dmin)) continue;
    std::vector<float> values(static_cast<size_t>(unit));
    for (size_t u = 0; u < codes.size(); ++u) {
      const int column = static_cast<int>(u) * unit;
      grid.values(params, column, codes[u], values.data());
      for (int v = 0; v < unit; ++v) {
        ASSERT_EQ(std::bit_cast<uint32_t>(values[static_cast<size_t>(v)]),
                  std::bit_cast<uint32_t>(expected[static_cast<size_t>(column + v)]))
            << "column " << column + v;
      }
    }
    ++compared;

    // TQ1_0 writes each of its 243 codes in one of 256 ways.
    if (c.id == CodecId::kTQ1_0) continue;
    std::vector<std::byte> packed(bytes.size());
    grid.pack(params, codes.data(), packed.data());
    ASSERT_EQ(packed, bytes) << "trial " << trial;
  }
  EXPECT_GT(compared, 100);
}

TEST_P(EveryGrid, EncodedBytesComeBackFromPack) {
  Rng rng(12);
  const Grid& grid = *c.grid;
  const std::vector<float> x = normal_row(rng, static_cast<size_t>(grid.fit_span()));
  const std::vector<std::byte> bytes = encode(c, x, nullptr);
  SpanParams params;
  std::vector<int32_t> codes(x.size() / static_cast<size_t>(grid.round_unit()));
  grid.unpack(bytes.data(), &params, codes.data());
  std::vector<std::byte> packed(bytes.size());
  grid.pack(params, codes.data(), packed.data());
  EXPECT_EQ(packed, bytes);
}

TEST_P(EveryGrid, RoundGivesTheValuesOfItsCode) {
  Rng rng(13);
  const Grid& grid = *c.grid;
  const size_t unit = static_cast<size_t>(grid.round_unit());
  const std::vector<float> x = normal_row(rng, static_cast<size_t>(grid.fit_span()));
  SpanParams params;
  grid.fit(x.data(), nullptr, &params);
  std::vector<float> rounded(unit);
  std::vector<float> values(unit);
  for (size_t column = 0; column < x.size(); column += unit) {
    // Weights that a solver has moved, far out too.
    std::vector<float> moved(x.begin() + static_cast<long>(column),
                             x.begin() + static_cast<long>(column + unit));
    for (float& v : moved) v = v * 4.0f + 0.3f;
    const int32_t code =
        grid.round(params, static_cast<int>(column), moved.data(), nullptr, rounded.data());
    grid.values(params, static_cast<int>(column), code, values.data());
    ASSERT_EQ(rounded, values);
    // A value of the grid rounds to itself.
    std::vector<float> again(unit);
    grid.round(params, static_cast<int>(column), values.data(), nullptr, again.data());
    ASSERT_EQ(again, values) << "column " << column;
  }
}

TEST_P(EveryGrid, GridPathIsAsGoodAsTheRowPath) {
  if (c.encode_row == nullptr) GTEST_SKIP() << "encoded through its grid only";
  Rng rng(14);
  const std::vector<float> x = normal_row(rng, columns() * 8);
  const std::vector<float> w = importance_row(rng, columns() * 8);
  for (const float* weights : {static_cast<const float*>(nullptr), w.data()}) {
    const double row = relative_error(x, decode(c, encode(c, x, weights), x.size()), weights);
    const double grid =
        relative_error(x, decode(c, encode_by_grid(c, x, weights), x.size()), weights);
    EXPECT_LE(grid, 1.01 * row);
  }
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

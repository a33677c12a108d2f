#include "codecs/lattice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "codecs/codec_test_util.h"
#include "codecs/iq_codebooks.h"

namespace pare {
namespace {

using namespace codec_test;

class Lattice : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Iq, Lattice,
                         testing::Values("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS",
                                         "IQ3_S"),
                         [](const auto& param) { return std::string(param.param); });

double weighted_error(const float* x, const float* y, const float* w) {
  double error = 0.0;
  for (int v = 0; v < 8; ++v) error += w[v] * std::pow(static_cast<double>(x[v]) - y[v], 2.0);
  return error;
}

// No code met in random blocks, nor a change of one sign, beats the rounded one.
TEST_P(Lattice, RoundFindsTheNearestCode) {
  const Codec& c = *find_codec(GetParam());
  const Grid& grid = *c.grid;
  Rng rng(1);
  const std::vector<float> x = normal_row(rng, 256);
  const std::vector<float> w = importance_row(rng, 256);
  SpanParams params;
  grid.fit(x.data(), w.data(), &params);
  for (int column = 0; column < 64; column += 8) {
    float rounded[8];
    grid.round(params, column, &x[static_cast<size_t>(column)], &w[static_cast<size_t>(column)],
               rounded);
    const double ours =
        weighted_error(&x[static_cast<size_t>(column)], rounded, &w[static_cast<size_t>(column)]);
    for (int trial = 0; trial < 40; ++trial) {
      const std::vector<std::byte> bytes = random_bytes(rng, static_cast<size_t>(c.block_bytes));
      SpanParams ignored;
      int32_t codes[32];
      grid.unpack(bytes.data(), &ignored, codes);
      for (int32_t code : codes) {
        float values[8];
        grid.values(params, column, code, values);
        ASSERT_GE(weighted_error(&x[static_cast<size_t>(column)], values,
                                 &w[static_cast<size_t>(column)]),
                  ours * (1 - 1e-5));
      }
    }
  }
}

TEST_P(Lattice, RoundedCodesSurvivePacking) {
  const Codec& c = *find_codec(GetParam());
  const Grid& grid = *c.grid;
  Rng rng(2);
  const std::vector<float> x = normal_row(rng, 256);
  SpanParams params;
  grid.fit(x.data(), nullptr, &params);
  int32_t codes[32];
  float values[256];
  for (int u = 0; u < 32; ++u) {
    codes[u] = grid.round(params, 8 * u, x.data() + 8 * u, nullptr, values + 8 * u);
  }
  std::vector<std::byte> bytes(static_cast<size_t>(c.block_bytes));
  grid.pack(params, codes, bytes.data());
  const std::vector<float> decoded = decode(c, bytes, 256);
  for (size_t i = 0; i < 256; ++i) ASSERT_EQ(decoded[i], values[i]) << i;
  SpanParams again;
  int32_t unpacked[32];
  grid.unpack(bytes.data(), &again, unpacked);
  for (int u = 0; u < 32; ++u) EXPECT_EQ(unpacked[u], codes[u]) << u;
  EXPECT_EQ(again.d, params.d);
  EXPECT_EQ(again.scale_code, params.scale_code);
  EXPECT_EQ(again.offset_code, params.offset_code);
}

TEST(LatticeSigns, AreEvenWhereTheEighthIsNotStored) {
  Rng rng(3);
  const std::vector<float> x = normal_row(rng, 256);
  for (const char* name : {"IQ2_XXS", "IQ2_XS", "IQ3_XXS"}) {
    const Grid& grid = *find_codec(name)->grid;
    const int shift = std::string(name) == "IQ3_XXS" ? 18 : 16;
    SpanParams params;
    grid.fit(x.data(), nullptr, &params);
    for (int column = 0; column < 256; column += 8) {
      float values[8];
      const uint32_t code = static_cast<uint32_t>(
          grid.round(params, column, &x[static_cast<size_t>(column)], nullptr, values));
      EXPECT_EQ(std::popcount(code >> shift) % 2, 0) << name;
    }
  }
}

TEST(LatticeCodebooks, HaveNoEntryTwice) {
  const auto distinct = [](const auto& book) {
    auto sorted = book;
    std::sort(sorted.begin(), sorted.end());
    return std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  };
  EXPECT_TRUE(distinct(kIq1Book));
  EXPECT_TRUE(distinct(kIq2XxsBook));
  EXPECT_TRUE(distinct(kIq2XsBook));
  EXPECT_TRUE(distinct(kIq2SBook));
  EXPECT_TRUE(distinct(kIq3XxsBook));
  EXPECT_TRUE(distinct(kIq3SBook));
}

}  // namespace
}  // namespace pare

#include "codecs/fp4_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "codecs/block_bytes.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

// The nearest of the sixteen values, by trying them.
double least_error(double x, double scale) {
  double best = std::numeric_limits<double>::infinity();
  for (int level : kFp4Levels) best = std::min(best, std::fabs(x - scale * level));
  return best;
}

class Fp4Search : public testing::TestWithParam<const char*> {};

// The search looks at a few codes around the largest weight; no other code does better.
TEST_P(Fp4Search, NoScaleOfAllIsBetter) {
  const Codec& c = *find_codec(GetParam());
  const Grid& grid = *c.grid;
  const size_t len = static_cast<size_t>(grid.group_len());
  Rng rng(1);
  for (int trial = 0; trial < 60; ++trial) {
    const std::vector<float> x =
        normal_row(rng, static_cast<size_t>(c.block_len), std::exp2(rng.uniform() * 8.0 - 5.0));
    const std::vector<float> w = importance_row(rng, x.size());
    const std::vector<float> y = decode(c, encode(c, x, w.data()), x.size());
    for (size_t g = 0; g < x.size() / len; ++g) {
      double ours = 0.0;
      for (size_t i = g * len; i < (g + 1) * len; ++i) ours += w[i] * std::pow(x[i] - y[i], 2.0);
      double best = std::numeric_limits<double>::infinity();
      for (int code = 0; code < 256; ++code) {
        std::vector<std::byte> block(static_cast<size_t>(c.block_bytes), std::byte{0x11});
        block[0] = static_cast<std::byte>(code);
        const double scale = static_cast<double>(decode(c, block, x.size())[0]);  // level 1
        if (!std::isfinite(scale)) continue;
        double error = 0.0;
        for (size_t i = g * len; i < (g + 1) * len; ++i) {
          error += w[i] * std::pow(least_error(x[i], scale), 2.0);
        }
        best = std::min(best, error);
      }
      ASSERT_LE(ours, best * 1.0001) << "trial " << trial << " group " << g;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fp4, Fp4Search, testing::Values("MXFP4", "NVFP4"),
                         [](const auto& param) { return std::string(param.param); });

TEST(Fp4Round, GoesToTheNearestLevelOfEitherSign) {
  float x[16];
  uint8_t codes[16];
  for (int k = 0; k < 4000; ++k) {
    for (int i = 0; i < 16; ++i) x[i] = static_cast<float>(k - 2000) * 0.01f + 0.001f * i;
    round_fp4(x, 16, 1.5f, codes);
    for (int i = 0; i < 16; ++i) {
      const double value = 1.5 * kFp4Levels[codes[i]];
      ASSERT_NEAR(std::fabs(x[i] - value), least_error(x[i], 1.5), 1e-6) << x[i];
      ASSERT_NE(codes[i], 8) << "zero is written as +0";
    }
  }
  for (float& v : x) v = std::numeric_limits<float>::infinity();
  x[1] = std::numeric_limits<float>::quiet_NaN();
  x[2] = -x[0];
  round_fp4(x, 16, 1.0f, codes);
  EXPECT_EQ(codes[0], 7);
  EXPECT_EQ(codes[1], 0);
  EXPECT_EQ(codes[2], 15);
}

TEST(Nvfp4, ScaleOfNanReadsAsZero) {
  std::byte block[36];
  std::fill(std::begin(block), std::end(block), std::byte{0x77});
  store_u8(block, 0x7f);
  store_u8(block + 1, 0x7e);
  float out[64];
  find_codec("NVFP4")->decode_row(block, out, 64);
  EXPECT_EQ(out[0], 0.0f);
  EXPECT_EQ(out[16], 224.0f * 12.0f);
}

}  // namespace
}  // namespace pare

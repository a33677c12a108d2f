// The scale search against a dense search in double precision, and its edges.
#include "codecs/uniform_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

// The least weighted squared error over 4000 scales of either sign, each refitted.
double dense_symmetric(const float* x, const float* w, int n, int low, int high) {
  double max = 0.0;
  for (int i = 0; i < n; ++i) max = std::max(max, std::fabs(static_cast<double>(x[i])));
  double xx = 0.0;
  for (int i = 0; i < n; ++i) xx += static_cast<double>(w[i]) * x[i] * x[i];
  double best = xx;
  for (int k = -2000; k <= 2000; ++k) {
    if (k == 0) continue;
    const double inverse = k / 2000.0 * 3.0 * std::max(-low, high) / max;
    double xq = 0.0;
    double qq = 0.0;
    for (int i = 0; i < n; ++i) {
      const double q = std::clamp(std::nearbyint(x[i] * inverse), static_cast<double>(low),
                                  static_cast<double>(high));
      xq += w[i] * x[i] * q;
      qq += w[i] * q * q;
    }
    if (qq > 0.0) best = std::min(best, xx - xq * xq / qq);
  }
  return best;
}

class SymmetricSearch : public testing::TestWithParam<const char*> {};

TEST_P(SymmetricSearch, IsWithinTwoPercentOfADenseSearch) {
  const Codec& c = *find_codec(GetParam());
  const bool ternary = c.block_len == 256;
  const int low = ternary ? -1 : c.id == CodecId::kQ2_0 ? -1 : c.id == CodecId::kQ4_0 ? -8 : -16;
  const int high = ternary ? 1 : c.id == CodecId::kQ2_0 ? 2 : -low - 1;
  Rng rng(1);
  double ours = 0.0;
  double best = 0.0;
  for (int block = 0; block < 40; ++block) {
    const std::vector<float> x = normal_row(rng, static_cast<size_t>(c.block_len), 0.02);
    std::vector<float> w = importance_row(rng, x.size());
    if (block % 2 == 0) std::fill(w.begin(), w.end(), 1.0f);
    const std::vector<float> y = decode(c, encode(c, x, w.data()), x.size());
    for (size_t i = 0; i < x.size(); ++i) ours += w[i] * std::pow(x[i] - y[i], 2.0);
    best += dense_symmetric(x.data(), w.data(), c.block_len, low, high);
  }
  EXPECT_LE(ours, 1.02 * best);
}

INSTANTIATE_TEST_SUITE_P(Uniform, SymmetricSearch,
                         testing::Values("Q4_0", "Q5_0", "Q2_0", "TQ1_0", "TQ2_0"),
                         [](const auto& param) { return std::string(param.param); });

// Data that the format can hold: nothing may be lost.
TEST(UniformFit, ExactDataIsKept) {
  Rng rng(2);
  for (const char* name :
       {"Q4_0", "Q5_0", "Q4_1", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0"}) {
    const Codec& c = *find_codec(name);
    const size_t n = static_cast<size_t>(c.block_len);
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<std::byte> bytes = random_bytes(rng, static_cast<size_t>(c.block_bytes));
      SpanParams params;
      std::vector<int32_t> codes(n);
      c.grid->unpack(bytes.data(), &params, codes.data());
      params.d = 0.01171875f;  // few bits: products with the levels are exact
      params.dmin = params.dmin != 0.0f ? -0.0625f : 0.0f;
      // Blocks that use the whole range, as a quantizer's do.
      const auto [low, high] = std::minmax_element(codes.begin(), codes.end());
      if (c.id == CodecId::kQ8_0) *low = -127, *high = 127;
      if (c.id == CodecId::kQ4_1) *low = 0, *high = 15;
      if (c.id == CodecId::kQ5_1) *low = 0, *high = 31;
      if (c.id == CodecId::kQ4_0) *low = -8;
      if (c.id == CodecId::kQ5_0) *low = -16;
      if (c.id == CodecId::kTQ2_0) {
        for (int32_t& code : codes) code = std::min(code, 1);
      }
      c.grid->pack(params, codes.data(), bytes.data());
      const std::vector<float> x = decode(c, bytes, n);
      EXPECT_EQ(decode(c, encode(c, x, nullptr), n), x) << name << " trial " << trial;
    }
  }
}

TEST(UniformFit, TernaryFormatsAgree) {
  Rng rng(3);
  const std::vector<float> x = normal_row(rng, 1024);
  const std::vector<float> w = importance_row(rng, 1024);
  const Codec& one = *find_codec("TQ1_0");
  const Codec& two = *find_codec("TQ2_0");
  EXPECT_EQ(decode(one, encode(one, x, w.data()), 1024),
            decode(two, encode(two, x, w.data()), 1024));
}

TEST(UniformFit, SignsTakeTheWeightedMeanMagnitude) {
  std::vector<float> x(128, 1.0f);
  std::vector<float> w(128, 1.0f);
  x[5] = -3.0f;
  w[5] = 127.0f;
  const Codec& c = *find_codec("Q1_0");
  const std::vector<float> y = decode(c, encode(c, x, w.data()), 128);
  for (size_t i = 0; i < 128; ++i) EXPECT_EQ(y[i], i == 5 ? -2.0f : 2.0f);
}

TEST(UniformFit, ImportanceOnOneColumnKeepsIt) {
  Rng rng(4);
  for (const char* name : {"Q4_0", "Q4_1", "Q5_0", "Q5_1"}) {
    const Codec& c = *find_codec(name);
    for (size_t at = 0; at < 32; ++at) {
      const std::vector<float> x = normal_row(rng, 32);
      std::vector<float> w(32, 0.0f);
      w[at] = 2.0f;
      const std::vector<float> y = decode(c, encode(c, x, w.data()), 32);
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      const float step =
          (*high - *low) / (c.id == CodecId::kQ4_0 || c.id == CodecId::kQ4_1 ? 15 : 31);
      EXPECT_LE(std::fabs(x[at] - y[at]), 0.6f * step) << name;
    }
  }
}

TEST(UniformFit, Q8RoundsToTheNearestStep) {
  Rng rng(5);
  const Codec& c = *find_codec("Q8_0");
  const std::vector<float> x = normal_row(rng, 3200);
  const std::vector<std::byte> bytes = encode(c, x, nullptr);
  const std::vector<float> y = decode(c, bytes, x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    SpanParams params;
    int32_t codes[32];
    c.grid->unpack(bytes.data() + i / 32 * 34, &params, codes);
    // Half a step; the largest weight may sit one rounding of the f16 scale beyond it.
    ASSERT_LE(std::fabs(x[i] - y[i]), params.d * 0.5625f) << i;
  }
}

}  // namespace
}  // namespace pare

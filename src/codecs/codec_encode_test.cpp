// What holds for every codec that can write weights, by its row face or through its grid.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "codecs/codec.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

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

}  // namespace
}  // namespace pare

// What the K-quants and their 4-bit relatives promise beyond every codec's duties
// (codec_table_test.cpp): the same bytes from every SIMD target, and how good the fit is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/codec_test_util.h"
#include "codecs/simd_targets.h"

namespace pare {
namespace {

using namespace codec_test;

struct Case {
  const char* name;
  const char* digest;  // of what it encodes in TheBytesArePinned
};

class KQuant : public testing::TestWithParam<Case> {
 protected:
  ~KQuant() override { limit_simd(""); }
  const Codec& c = *find_codec(GetParam().name);
};

INSTANTIATE_TEST_SUITE_P(
    Codecs, KQuant,
    testing::Values(Case{"Q2_K", "58550547b5dafec1"}, Case{"Q3_K", "686d987f12f4c307"},
                    Case{"Q4_K", "b069ce6f1e938993"}, Case{"Q5_K", "2c5961adda34f44b"},
                    Case{"Q6_K", "66c68f0a69c4bb3f"}, Case{"IQ4_NL", "a30fa1f5ca1dc77e"},
                    Case{"IQ4_XS", "eb0644a1d81e1984"}),
    [](const auto& param) { return std::string(param.param.name); });

// Rows whose magnitude and tails vary, some of it zero. Only exact operations: the same numbers
// on every machine.
std::vector<float> plain_row(Rng& rng, size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = 2.0 * rng.uniform() - 1.0;
    const double tail = i % 512 < 256 ? u : u * u * u * u * u;
    x[i] = static_cast<float>((i / 256) % 7 == 3 ? 0.0 : 0.05 * (tail + 0.1 * rng.uniform()));
  }
  return x;
}

TEST_P(KQuant, TheBytesArePinned) {
  // A change of these digests is a change of everybody's files: mean it. Compilers, flags and
  // machines must not cause one.
  Rng rng(11);
  const std::vector<float> x = plain_row(rng, 16384);
  std::vector<float> w(x.size());
  for (float& v : w) v = static_cast<float>(rng.uniform() * rng.uniform());
  for (const std::string& target : simd_targets()) {
    limit_simd(target);
    Hasher hasher;
    for (const float* importance :
         {static_cast<const float*>(nullptr), static_cast<const float*>(w.data())}) {
      const std::vector<std::byte> bytes = encode(c, x, importance);
      hasher.add(bytes);
      const std::vector<float> y = decode(c, bytes, x.size());
      hasher.add(std::as_bytes(std::span(y)));
    }
    EXPECT_EQ(hasher.hex(), GetParam().digest) << target;
  }
}

TEST_P(KQuant, TheGridAndTheRowEncoderAgree) {
  Rng rng(12);
  const std::vector<float> x = normal_row(rng, 2048, 0.02);
  const std::vector<float> w = importance_row(rng, x.size());
  EXPECT_EQ(encode(c, x, nullptr), encode_by_grid(c, x, nullptr));
  // IQ4_NL's rows are fitted eight blocks at a time, where importance is scaled by its largest.
  if (c.block_len == 256) {
    EXPECT_EQ(encode(c, x, w.data()), encode_by_grid(c, x, w.data()));
  }
}

TEST_P(KQuant, ColumnsWithoutImportanceDoNotDisturbOthers) {
  Rng rng(13);
  std::vector<float> x = normal_row(rng, 8192);
  std::vector<float> w(x.size(), 1.0f);
  for (size_t i = 0; i < x.size(); i += 5) w[i] = 0.0f;
  const double before = relative_error(x, decode(c, encode(c, x, w.data()), x.size()), w.data());
  for (size_t i = 0; i < x.size(); i += 5) x[i] *= 20.0f;
  const double after = relative_error(x, decode(c, encode(c, x, w.data()), x.size()), w.data());
  EXPECT_LE(after, 1.02 * before);
}

TEST_P(KQuant, RowsThatAreAllOfOneSignAreKept) {
  Rng rng(14);
  for (float sign : {-1.0f, 1.0f}) {
    std::vector<float> x(2048);
    for (float& v : x) v = sign * static_cast<float>(1.0 + 0.5 * rng.uniform());
    EXPECT_LE(relative_error(x, decode(c, encode(c, x, nullptr), x.size())), c.error_bound);
  }
}

TEST_P(KQuant, HugeRowsOfOneSignStayFinite) {
  Rng rng(17);
  for (float sign : {-1.0f, 1.0f}) {
    std::vector<float> x(512);
    for (float& v : x) v = sign * static_cast<float>((0.1 + 0.9 * rng.uniform()) * 3.4e38);
    for (float v : decode(c, encode(c, x, nullptr), x.size())) ASSERT_TRUE(std::isfinite(v));
  }
}

// The stored scales are the best that their neighbours are: no group gains much by another code.
TEST_P(KQuant, NoScaleCodeCanBeBettered) {
  if (c.block_len != 256) GTEST_SKIP() << "has no scale codes";
  Rng rng(15);
  const Grid& grid = *c.grid;
  const std::vector<float> x = normal_row(rng, 256 * 32);
  const std::vector<float> w = importance_row(rng, x.size());
  double stored = 0.0, best = 0.0;
  for (size_t block = 0; block < x.size(); block += 256) {
    SpanParams params;
    grid.fit(x.data() + block, w.data() + block, &params);
    for (int begin = 0; begin < 256; begin += grid.group_len()) {
      const size_t g = static_cast<size_t>(begin / grid.group_len());
      const auto error_with = [&](float scale) {
        SpanParams other = params;
        other.scale[g] = scale;
        double error = 0.0;
        for (int i = begin; i < begin + grid.group_len(); ++i) {
          const size_t at = block + static_cast<size_t>(i);
          float value;
          grid.round(other, i, &x[at], nullptr, &value);
          error += static_cast<double>(w[at]) * std::pow(static_cast<double>(value - x[at]), 2);
        }
        return error;
      };
      const double now = error_with(params.scale[g]);
      stored += now;
      best += std::min(
          {now, error_with(params.scale[g] - params.d), error_with(params.scale[g] + params.d)});
    }
  }
  EXPECT_LE(stored, 1.01 * best);
}

// Against rounding onto the grid that spans each group's own range, with scales that nobody has
// to store: least squares and clipping must win more than integers for scales lose.
TEST_P(KQuant, BeatsRoundToNearestWithFreeScales) {
  Rng rng(16);
  const std::vector<float> x = normal_row(rng, 8192);
  const std::vector<float> w = importance_row(rng, x.size());
  const size_t group = static_cast<size_t>(c.grid->group_len());
  const bool minima = c.id == CodecId::kQ2_K || c.id == CodecId::kQ4_K || c.id == CodecId::kQ5_K;
  const double levels = c.id == CodecId::kQ2_K   ? 4
                        : c.id == CodecId::kQ3_K ? 8
                        : c.id == CodecId::kQ5_K ? 32
                        : c.id == CodecId::kQ6_K ? 64
                                                 : 16;
  std::vector<float> y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += group) {
    const auto [lo, hi] = std::minmax_element(x.begin() + static_cast<ptrdiff_t>(begin),
                                              x.begin() + static_cast<ptrdiff_t>(begin + group));
    const double most = std::max(-*lo, *hi);
    const double step = minima ? (*hi - *lo) / (levels - 1.0) : most / (levels / 2.0 - 1.0);
    const double offset = minima ? static_cast<double>(*lo) : 0.0;
    for (size_t i = begin; i < begin + group; ++i) {
      y[i] = static_cast<float>(std::round((x[i] - offset) / step) * step + offset);
    }
  }
  const double ours = relative_error(x, decode(c, encode(c, x, w.data()), x.size()), w.data());
  EXPECT_LE(ours, 0.9 * relative_error(x, y, w.data()));
}

}  // namespace
}  // namespace pare

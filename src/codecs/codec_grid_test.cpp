// The grid of every codec against its row face: two descriptions of the same format.
#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "codecs/codec.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

class EveryGrid : public testing::TestWithParam<const Codec*> {
 protected:
  const Codec& c = *GetParam();
};

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
  const std::vector<float> x = normal_row(rng, 4096);
  const std::vector<float> w = importance_row(rng, 4096);
  for (const float* weights : {static_cast<const float*>(nullptr), w.data()}) {
    const double row = relative_error(x, decode(c, encode(c, x, weights), x.size()), weights);
    const double grid =
        relative_error(x, decode(c, encode_by_grid(c, x, weights), x.size()), weights);
    EXPECT_LE(grid, 1.01 * row);
  }
}

}  // namespace
}  // namespace pare

#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

struct Weight {
  PackedTensor packed;
  std::vector<float> values;  // decoded
};

Weight make_weight(const Codec& c, int64_t rows, int64_t columns, uint64_t seed) {
  Rng rng(seed);
  const auto row_bytes = static_cast<size_t>(c.row_bytes(columns));
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = codec_test::encode(
        c, codec_test::normal_row(rng, static_cast<size_t>(columns), 0.02), nullptr);
    bytes->insert(bytes->end(), row.begin(), row.begin() + static_cast<int64_t>(row_bytes));
  }
  Weight w;
  w.values = codec_test::decode(c, *bytes, static_cast<size_t>(rows * columns));
  w.packed = {.codec = c.id, .shape = {rows, columns}, .bytes = *bytes, .owner = bytes};
  return w;
}

bool multiplies(const Codec& c) { return c.grid != nullptr || c.is_float(); }

TEST(Matmul, EveryCodecGivesTheProduct) {
  constexpr int64_t kRows = 37, kColumns = 512;
  ThreadPool pool(2);
  for (const Codec& c : all_codecs()) {
    if (!multiplies(c)) continue;
    const Weight w = make_weight(c, kRows, kColumns, 3);
    ASSERT_TRUE(check_matmul(w.packed).ok());
    for (int64_t tokens : {1, 2, 5, 13}) {
      Rng rng(static_cast<uint64_t>(tokens));
      const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * kColumns));
      const auto bias = codec_test::normal_row(rng, kRows);
      Activations activations;
      activations.assign(x.data(), tokens, kColumns, kColumns);
      std::vector<float> y(static_cast<size_t>(tokens * kRows));
      matmul(w.packed, activations, bias.data(), y.data(), kRows, pool);
      double error = 0.0, norm = 0.0;
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < kRows; ++r) {
          double sum = bias[static_cast<size_t>(r)];
          for (int64_t i = 0; i < kColumns; ++i) {
            sum += static_cast<double>(w.values[static_cast<size_t>(r * kColumns + i)]) *
                   x[static_cast<size_t>(t * kColumns + i)];
          }
          const double e = sum - y[static_cast<size_t>(t * kRows + r)];
          error += e * e;
          norm += sum * sum;
        }
      }
      EXPECT_LT(std::sqrt(error / norm), 0.01) << c.name << " " << tokens;
    }
  }
}

TEST(Matmul, RefusesWhatItCannotMultiply) {
  for (const Codec& c : all_codecs()) {
    Weight w;
    std::vector<std::byte> bytes(static_cast<size_t>(c.row_bytes(512)) * 3);
    w.packed = {.codec = c.id, .shape = {3, 512}, .bytes = bytes, .owner = nullptr};
    EXPECT_EQ(check_matmul(w.packed).ok(), multiplies(c)) << c.name;
    w.packed.bytes = w.packed.bytes.first(bytes.size() - 1);
    EXPECT_FALSE(check_matmul(w.packed).ok()) << c.name;
  }
}

}  // namespace
}  // namespace pare

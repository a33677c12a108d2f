#include "kernels/matmul.h"

#include "kernels/matmul_test_util.h"

namespace pare {
namespace {

using namespace matmul_test;

using Matmul = OnEveryLevel;

TEST_F(Matmul, EveryCodecGivesTheProduct) {
  constexpr int64_t kRows = 37, kColumns = 512;
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c)) continue;
      const Weight w = make_weight(c, kRows, kColumns, 3);
      ASSERT_TRUE(check_matmul(w.packed).ok());
      for (int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 31, int{kManyTokens}}) {
        Rng rng(static_cast<uint64_t>(tokens));
        const auto exact = exact_row(rng, tokens, kColumns);
        const auto bias = codec_test::normal_row(rng, kRows);
        EXPECT_LT(multiply(w, exact, tokens, kColumns, &bias, 2).error, rounding(c, tokens))
            << c.name << " " << tokens;
        const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * kColumns));
        EXPECT_LT(multiply(w, x, tokens, kColumns, &bias, 2).error, error_bound(c, tokens))
            << c.name << " " << tokens;
      }
    }
  });
}

TEST_F(Matmul, WholeActivationsLoseNothing) {
  constexpr int64_t kRows = 20, kColumns = 512, kTokens = kManyTokens;
  ThreadPool pool(1);
  for_each_level([&] {
    for (const char* name : {"F16", "BF16", "F32"}) {
      const Weight w = make_weight(*find_codec(name), kRows, kColumns, 3);
      Rng rng(1);
      const auto x = codec_test::normal_row(rng, kTokens * kColumns);
      Activations activations(/*whole=*/true);
      activations.assign(x.data(), kTokens, kColumns, kColumns);
      std::vector<float> y(kTokens * kRows);
      matmul(w.packed, activations, nullptr, y.data(), kRows, pool);
      for (size_t t = 0; t < kTokens; ++t) {
        for (size_t r = 0; r < kRows; ++r) {
          double sum = 0.0;
          for (size_t i = 0; i < kColumns; ++i) {
            sum += static_cast<double>(w.values[r * kColumns + i]) * x[t * kColumns + i];
          }
          EXPECT_NEAR(y[t * kRows + r], sum, 1e-5) << name;
        }
      }
    }
  });
}

// Columns around the length of pieces and vectors, rows around that of panels.
TEST_F(Matmul, EveryLengthGivesTheProduct) {
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c)) continue;
      for (int64_t unit : {1, 2, 3, 7, 33, 41}) {
        const int64_t columns = c.is_float() ? 17 * unit : unit * c.block_len;
        if (columns > 2200) continue;
        for (int64_t rows : {1, 16, 17}) {
          for (int64_t tokens : {int64_t{1}, int64_t{14}, c.is_float() ? kManyTokens : 19}) {
            const Weight w = make_weight(c, rows, columns, 5);
            Rng rng(8);
            const int64_t x_stride = columns + 32;
            const auto x = exact_row(rng, tokens, x_stride);
            EXPECT_LT(multiply(w, x, tokens, x_stride, nullptr, 1).error, 4 * rounding(c, tokens))
                << c.name << " " << rows << " x " << columns << ", " << tokens;
          }
        }
      }
    }
  });
}

// Largest levels meet largest activations of one sign: what sums in few bits would overflow at.
TEST_F(Matmul, LargestSumsAreExact) {
  constexpr int64_t kRows = 17, kColumns = 1024;
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c) || c.is_float()) continue;
      for (int code : {0, 0x33, 0x77, 0x78, 0x7f, 0x80, 0xff}) {
        Weight w;
        Rng rng(9);
        const auto block = codec_test::encode(
            c, codec_test::normal_row(rng, static_cast<size_t>(c.block_len)), nullptr);
        // A finite block whose every byte but those that matter for its scale is the code.
        auto bytes = std::make_shared<std::vector<std::byte>>();
        auto filled = block;
        std::vector<float> values;
        for (size_t i = 0; i < filled.size(); ++i) {
          const std::byte before = filled[i];
          filled[i] = static_cast<std::byte>(code);
          values = codec_test::decode(c, filled, static_cast<size_t>(c.block_len));
          const bool sane = std::all_of(values.begin(), values.end(), [](float v) {
            return std::isfinite(v) && std::fabs(v) < 1e4f && std::fabs(v) != 0.0f;
          });
          if (!sane) filled[i] = before;
        }
        for (int64_t i = 0; i < kRows * kColumns / c.block_len; ++i) {
          bytes->insert(bytes->end(), filled.begin(), filled.end());
        }
        w.values = codec_test::decode(c, *bytes, kColumns);  // all rows are alike
        w.packed = {.codec = c.id, .shape = {kRows, kColumns}, .bytes = *bytes, .owner = bytes};
        for (int64_t tokens : {1, 13, 19}) {
          // Exactly representable: 127 and -127 times a scale.
          for (float v : {2.0f, -2.0f}) {
            std::vector<float> x(static_cast<size_t>(tokens * kColumns), v);
            double magnitudes = 0.0;  // what rounding is relative to
            for (int64_t i = 0; i < kColumns; ++i) magnitudes += 2.0 * std::fabs(w.values[i]);
            double sum = 0.0;
            for (int64_t i = 0; i < kColumns; ++i) sum += static_cast<double>(v) * w.values[i];
            ThreadPool pool(1);
            Activations activations;
            activations.assign(x.data(), tokens, kColumns, kColumns);
            std::vector<float> y(static_cast<size_t>(tokens * kRows));
            matmul(w.packed, activations, nullptr, y.data(), kRows, pool);
            for (float value : y)
              ASSERT_NEAR(value, sum, 2 * rounding(c, tokens) * magnitudes)
                  << c.name << " " << code;
          }
        }
      }
    }
  });
}

// What a row's last columns are read with may be the next row: whatever is there, it stays there.
TEST_F(Matmul, BrokenRowsStayAlone) {
  constexpr int64_t kRows = 20;
  ThreadPool pool(1);
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c)) continue;
      const int64_t columns = 256 + (c.is_float() ? 17 : c.block_len);
      const Weight w = make_weight(c, kRows, columns, 6);
      const auto row_bytes = static_cast<size_t>(c.row_bytes(columns));
      auto bytes =
          std::make_shared<std::vector<std::byte>>(w.packed.bytes.begin(), w.packed.bytes.end());
      std::fill_n(bytes->begin() + static_cast<int64_t>(row_bytes), row_bytes, std::byte{0xff});
      const PackedTensor broken = {
          .codec = c.id, .shape = {kRows, columns}, .bytes = *bytes, .owner = bytes};
      for (int64_t tokens : {1, 3, 19}) {
        Rng rng(1);
        const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * columns));
        Activations activations;
        activations.assign(x.data(), tokens, columns, columns);
        std::vector<float> whole(static_cast<size_t>(tokens * kRows)), y = whole;
        matmul(w.packed, activations, nullptr, whole.data(), kRows, pool);
        matmul(broken, activations, nullptr, y.data(), kRows, pool);
        for (size_t i = 0; i < y.size(); ++i) {
          if (i % kRows == 1) continue;
          ASSERT_EQ(y[i], whole[i]) << c.name << " " << tokens << " " << i;
        }
      }
    }
  });
}

TEST_F(Matmul, ZerosInfinitiesAndNanStayInTheirTokens) {
  constexpr int64_t kRows = 16, kColumns = 256;
  ThreadPool pool(1);
  for_each_level([&] {
    for (const char* name : {"Q4_K", "Q6_K", "Q8_0", "F16"}) {
      for (const size_t tokens : {size_t{8}, size_t{13}, size_t{kManyTokens}}) {
        const Weight w = make_weight(*find_codec(name), kRows, kColumns, 2);
        Rng rng(1);
        auto x = codec_test::normal_row(rng, tokens * kColumns);
        std::fill_n(x.begin() + 3 * kColumns, kColumns, 0.0f);
        x[7 * kColumns + 9] = INFINITY;
        x[5 * kColumns + tokens] = NAN;
        Activations activations;
        activations.assign(x.data(), static_cast<int64_t>(tokens), kColumns, kColumns);
        std::vector<float> y(tokens * kRows);
        matmul(w.packed, activations, nullptr, y.data(), kRows, pool);
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t r = 0; r < kRows; ++r) {
            EXPECT_EQ(std::isfinite(y[t * kRows + r]), t != 7 && t != 5) << name;
            if (t == 3) {
              EXPECT_EQ(y[t * kRows + r], 0.0f);
            }
          }
        }
      }
    }
  });
}

TEST_F(Matmul, RefusesWhatItCannotMultiply) {
  for (const Codec& c : all_codecs()) {
    const std::vector<std::byte> bytes(static_cast<size_t>(c.row_bytes(512)) * 3);
    PackedTensor packed = {.codec = c.id, .shape = {3, 512}, .bytes = bytes, .owner = nullptr};
    EXPECT_EQ(check_matmul(packed).ok(), multiplies(c)) << c.name;
    packed.bytes = packed.bytes.first(bytes.size() - 1);
    EXPECT_FALSE(check_matmul(packed).ok()) << c.name;
  }
}

}  // namespace
}  // namespace pare

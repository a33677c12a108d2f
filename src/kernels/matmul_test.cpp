#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/codec_test_util.h"
#include "kernels/core.h"
#include "kernels/cpu.h"
#include "kernels/list.h"

namespace pare {
namespace {

bool multiplies(const Codec& c) { return c.grid != nullptr || c.is_float(); }

// Every test runs on every level that this machine has.
class OnEveryLevel : public ::testing::Test {
 protected:
  ~OnEveryLevel() override { force_cpu_level(cpu_levels().front()); }

  template <class Body>
  void for_each_level(const Body& body) {
    for (CpuLevel level : cpu_levels()) {
      force_cpu_level(level);
      SCOPED_TRACE(cpu_level_name(level));
      body();
    }
  }
};
using Matmul = OnEveryLevel;

struct Weight {
  PackedTensor packed;
  std::vector<float> values;  // decoded
};

// Blocks of normal weights, encoded once for each codec and drawn at random; few where encoding
// takes long, as for lattices.
Weight make_weight(const Codec& c, int64_t rows, int64_t columns, uint64_t seed) {
  static std::map<CodecId, std::vector<std::byte>> encoded;
  Rng rng(seed);
  auto& blocks = encoded[c.id];
  const auto block_bytes = static_cast<size_t>(c.block_bytes);
  const size_t count = c.encode_row == nullptr ? 2 : 12;
  if (blocks.empty()) {
    blocks = codec_test::encode(
        c, codec_test::normal_row(rng, count * static_cast<size_t>(c.block_len), 0.02), nullptr);
  }
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (int64_t i = 0; i < rows * columns / c.block_len; ++i) {
    const auto at = blocks.begin() + static_cast<int64_t>(rng.next() % count * block_bytes);
    bytes->insert(bytes->end(), at, at + static_cast<int64_t>(block_bytes));
  }
  Weight w;
  w.values = codec_test::decode(c, *bytes, static_cast<size_t>(rows * columns));
  w.packed = {.codec = c.id, .shape = {rows, columns}, .bytes = *bytes, .owner = bytes};
  return w;
}

struct Product {
  std::vector<float> y;
  double error;  // beside the product of the decoded weights with the floats: of its terms' norm
};

Product multiply(const Weight& w, const std::vector<float>& x, int64_t tokens, int64_t x_stride,
                 const std::vector<float>* bias, int threads) {
  const int64_t rows = w.packed.shape.rows(), columns = w.packed.shape.columns();
  const int64_t y_stride = rows + 3;
  constexpr float kUntouched = 12345.0f;
  ThreadPool pool(threads);
  Activations activations;
  activations.assign(x.data(), tokens, columns, x_stride);
  Product product;
  product.y.assign(static_cast<size_t>(tokens * y_stride), kUntouched);
  matmul(w.packed, activations, bias == nullptr ? nullptr : bias->data(), product.y.data(),
         y_stride, pool);
  double error = 0.0, norm = 0.0;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      for (int64_t i = 0; i < columns; ++i) {
        const double term = static_cast<double>(w.values[static_cast<size_t>(r * columns + i)]) *
                            x[static_cast<size_t>(t * x_stride + i)];
        sum += term;
        norm += term * term;
      }
      const double shift = bias == nullptr ? 0.0 : (*bias)[static_cast<size_t>(r)];
      const double e = sum + shift - product.y[static_cast<size_t>(t * y_stride + r)];
      error += e * e;
    }
    for (int64_t i = rows; i < y_stride; ++i) {
      EXPECT_EQ(product.y[static_cast<size_t>(t * y_stride + i)], kUntouched);
    }
  }
  product.error = std::sqrt(error / norm);
  return product;
}

// Activations that are bytes times a power of two in each 32 columns: quantizing keeps them, so
// that all that is left is the rounding of sums.
std::vector<float> exact_row(Rng& rng, int64_t tokens, int64_t stride) {
  std::vector<float> x(static_cast<size_t>(tokens * stride));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < stride; ++c) {
      const float scale = std::ldexp(1.0f, static_cast<int>((t + c / 32) % 5));
      const int q = c % 32 == 7 ? 127 : static_cast<int>(rng.next() % 255) - 127;
      x[static_cast<size_t>(t * stride + c)] = scale * static_cast<float>(q);
    }
  }
  return x;
}
constexpr double kRounding = 1e-5;

// What many tokens may add to that: weights that become bfloat16, floats that become 16-bit
// integers.
double rounding(const Codec& c, int64_t tokens) {
  const Kernel kernel = select_kernel(cpu_level(), c.id);
  if (tokens <= kAlikeTokens) return kRounding;
  if (kernel.wide_floats) return 2e-4;
  return kernel.core->bf16 != nullptr && !c.is_float() ? 4e-3 : kRounding;
}

// The same for activations of any value: eight bits leave an error of half a percent, bfloat16 half
// of that.
double error_bound(const Codec& c, int64_t tokens) {
  const Kernel kernel = select_kernel(cpu_level(), c.id);
  if (c.is_float() || rounding(c, tokens) > kRounding) return rounding(c, tokens);
  return tokens > kAlikeTokens && many_tokens_differ(kernel) ? 2e-4 : 0.008;
}

TEST_F(Matmul, EveryCodecGivesTheProduct) {
  constexpr int64_t kRows = 37, kColumns = 512;
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c)) continue;
      const Weight w = make_weight(c, kRows, kColumns, 3);
      ASSERT_TRUE(check_matmul(w.packed).ok());
      for (int64_t tokens : {1, 2, 3, 4, 5, 12, 13, 31}) {
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

// Columns around the length of pieces and vectors, rows around that of panels.
TEST_F(Matmul, EveryLengthGivesTheProduct) {
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (!multiplies(c)) continue;
      for (int64_t unit : {1, 2, 3, 7, 33, 41}) {
        const int64_t columns = c.is_float() ? 17 * unit : unit * c.block_len;
        if (columns > 2200) continue;
        for (int64_t rows : {1, 16, 17}) {
          for (int64_t tokens : {1, 14, 19}) {
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

TEST_F(Matmul, SumsDoNotDependOnThreads) {
  for_each_level([&] {
    for (const char* name : {"Q4_K", "Q8_0", "F16"}) {
      const Weight w = make_weight(*find_codec(name), 150, 512, 4);
      Rng rng(6);
      const auto x = codec_test::normal_row(rng, 29 * 512);
      for (int64_t tokens : {1, 29}) {
        const auto one = multiply(w, x, tokens, 512, nullptr, 1).y;
        for (int threads : {2, 3, 8}) {
          EXPECT_EQ(multiply(w, x, tokens, 512, nullptr, threads).y, one) << name;
        }
      }
    }
  });
}

// One site's activations serve weights of several codecs, and are assigned anew.
TEST_F(Matmul, ActivationsServeManyWeights) {
  constexpr int64_t kRows = 20, kColumns = 512;
  ThreadPool pool(2);
  for_each_level([&] {
    Activations shared;
    for (uint64_t round = 0; round < 3; ++round) {
      for (int64_t tokens : {13, 1, 21, 5}) {
        Rng rng(round);
        const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * kColumns));
        shared.assign(x.data(), tokens, kColumns, kColumns);
        for (const char* name : {"Q4_0", "Q6_K", "Q4_K", "F16", "Q2_K", "Q8_0", "Q4_0"}) {
          const Weight w = make_weight(*find_codec(name), kRows, kColumns, 2);
          std::vector<float> y(static_cast<size_t>(tokens * kRows)), alone(y.size());
          matmul(w.packed, shared, nullptr, y.data(), kRows, pool);
          Activations own;
          own.assign(x.data(), tokens, kColumns, kColumns);
          matmul(w.packed, own, nullptr, alone.data(), kRows, pool);
          EXPECT_EQ(y, alone) << name;
        }
      }
    }
  });
}

// Of products that are asked for together, each is what it is alone: kernels of all kinds, some
// with biases, and rows of different counts.
TEST_F(Matmul, SeveralProductsAtOnce) {
  constexpr int64_t kColumns = 512;
  ThreadPool pool(3);
  for_each_level([&] {
    for (int64_t tokens : {1, 3, 4, 5, 13, 21}) {
      Rng rng(static_cast<uint64_t>(tokens));
      const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * kColumns));
      const auto bias = codec_test::normal_row(rng, 200);
      std::vector<Weight> weights;
      std::vector<std::vector<float>> together, alone;
      for (const char* name : {"Q4_K", "Q6_K", "F16", "IQ2_XS", "Q8_0"}) {
        const int64_t rows = 150 - 37 * static_cast<int64_t>(weights.size() % 4);
        weights.push_back(make_weight(*find_codec(name), rows, kColumns, 2));
        together.emplace_back(static_cast<size_t>(tokens * rows));
      }
      alone = together;
      Activations shared;
      shared.assign(x.data(), tokens, kColumns, kColumns);
      std::vector<pare::Product> products;
      for (size_t i = 0; i < weights.size(); ++i) {
        const PackedTensor& w = weights[i].packed;
        const float* of = i % 2 == 0 ? bias.data() : nullptr;
        products.push_back({&w, of, together[i].data(), w.shape.rows()});
        Activations own;
        own.assign(x.data(), tokens, kColumns, kColumns);
        matmul(w, own, of, alone[i].data(), w.shape.rows(), pool);
      }
      matmul(products, shared, pool);
      for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(together[i], alone[i]) << i;
    }
  });
}

TEST_F(Matmul, ZerosAndInfinitiesStayInTheirTokens) {
  constexpr int64_t kRows = 16, kColumns = 256;
  ThreadPool pool(1);
  for_each_level([&] {
    for (const char* name : {"Q4_K", "Q8_0", "F16"}) {
      for (const size_t tokens : {13, 19}) {
        const Weight w = make_weight(*find_codec(name), kRows, kColumns, 2);
        Rng rng(1);
        auto x = codec_test::normal_row(rng, tokens * kColumns);
        std::fill_n(x.begin() + 3 * kColumns, kColumns, 0.0f);
        x[7 * kColumns + 9] = INFINITY;
        Activations activations;
        activations.assign(x.data(), static_cast<int64_t>(tokens), kColumns, kColumns);
        std::vector<float> y(tokens * kRows);
        matmul(w.packed, activations, nullptr, y.data(), kRows, pool);
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t r = 0; r < kRows; ++r) {
            EXPECT_EQ(std::isfinite(y[t * kRows + r]), t != 7) << name;
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

// What tests of matmul share: weights of every codec, their products and how true these are.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/codec_test_util.h"
#include "kernels/cpu.h"
#include "kernels/list.h"
#include "kernels/matmul.h"

namespace pare::matmul_test {

inline bool multiplies(const Codec& c) { return c.grid != nullptr || c.is_float(); }

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

struct Weight {
  PackedTensor packed;
  std::vector<float> values;  // decoded
};

// Blocks of normal weights, encoded once for each codec and drawn at random; few where encoding
// takes long, as for lattices.
inline Weight make_weight(const Codec& c, int64_t rows, int64_t columns, uint64_t seed) {
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

struct Measured {
  std::vector<float> y;
  double error;  // beside the product of the decoded weights with the floats: of its terms' norm
};

inline Measured multiply(const Weight& w, const std::vector<float>& x, int64_t tokens,
                         int64_t x_stride, const std::vector<float>* bias, int threads) {
  const int64_t rows = w.packed.shape.rows(), columns = w.packed.shape.columns();
  const int64_t y_stride = rows + 3;
  constexpr float kUntouched = 12345.0f;
  ThreadPool pool(threads);
  Activations activations;
  activations.assign(x.data(), tokens, columns, x_stride);
  Measured product;
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
inline std::vector<float> exact_row(Rng& rng, int64_t tokens, int64_t stride) {
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
inline constexpr double kRounding = 1e-5;

// More tokens than meet rows of any weight, and a tile with fewer than there could be.
inline constexpr int64_t kManyTokens = kFewFloatTokens + 7;

// With more, products may have another precision.
inline int64_t most_rows(const Kernel& kernel) {
  return kernel.core->bf16 != nullptr ? kFewBesideBf16 : kAlikeTokens;
}

// What many tokens may add to that: weights that become bfloat16, floats that become 16-bit
// integers or are kept in two parts of bfloat16.
inline double rounding(const Codec& c, int64_t tokens) {
  const Kernel kernel = select_kernel(cpu_level(), c.id);
  if (tokens <= most_rows(kernel)) return kRounding;
  const bool bf16 = kernel.core->bf16 != nullptr;
  if (kernel.round_floats && bf16) return 2e-5;
  if (kernel.round_floats) return tokens <= kFewFloatTokens ? kRounding : 2e-4;
  return bf16 && !c.is_float() ? 4e-3 : kRounding;
}

// The same for activations of any value: eight bits leave an error of half a percent, bfloat16 half
// of that.
inline double error_bound(const Codec& c, int64_t tokens) {
  const Kernel kernel = select_kernel(cpu_level(), c.id);
  if (c.is_float() || rounding(c, tokens) > kRounding) return rounding(c, tokens);
  return tokens > most_rows(kernel) && many_tokens_differ(kernel) ? 2e-4 : 0.008;
}

}  // namespace pare::matmul_test

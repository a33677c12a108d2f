// Products that share threads, activations or a call.
#include "kernels/matmul.h"
#include "kernels/matmul_test_util.h"

namespace pare {
namespace {

using namespace matmul_test;

using MatmulTogether = OnEveryLevel;

TEST_F(MatmulTogether, SumsDoNotDependOnThreads) {
  for_each_level([&] {
    for (const char* name : {"Q4_K", "Q8_0", "F16"}) {
      const Weight w = make_weight(*find_codec(name), 150, 512, 4);
      Rng rng(6);
      const auto x = codec_test::normal_row(rng, kManyTokens * 512);
      for (int64_t tokens : {int64_t{1}, kManyTokens}) {
        const auto one = multiply(w, x, tokens, 512, nullptr, 1).y;
        for (int threads : {2, 3, 8}) {
          EXPECT_EQ(multiply(w, x, tokens, 512, nullptr, threads).y, one) << name;
        }
      }
    }
  });
}

// One site's activations serve weights of several codecs, and are assigned anew.
TEST_F(MatmulTogether, ActivationsServeManyWeights) {
  constexpr int64_t kRows = 20, kColumns = 512;
  ThreadPool pool(2);
  for_each_level([&] {
    Activations shared;
    for (uint64_t round = 0; round < 3; ++round) {
      for (int64_t tokens : {13, 1, int{kManyTokens}, 5}) {
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
TEST_F(MatmulTogether, SeveralProductsAtOnce) {
  constexpr int64_t kColumns = 512;
  ThreadPool pool(3);
  for_each_level([&] {
    for (int64_t tokens : {1, 3, 4, 5, 13, int{kManyTokens}}) {
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
      std::vector<Product> products;
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

// Gate and up in one pass are what they are one after the other, wherever a core does that.
TEST_F(MatmulTogether, GatedIsProductsFirst) {
  constexpr int64_t kRows = 150, kStride = kRows + 5;
  ThreadPool pool(2);
  const Gate apply = [](const float* gate, float* up, int64_t n) {
    for (int64_t i = 0; i < n; ++i) up[i] *= gate[i] + 1.0f;
  };
  for_each_level([&] {
    for (int64_t columns : {512, 2560}) {
      for (int64_t tokens : {1, 21, 70}) {
        Rng rng(static_cast<uint64_t>(tokens));
        const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * columns));
        const auto bias = codec_test::normal_row(rng, kRows);
        for (const auto& [one, other, alike] :
             {std::tuple{"Q4_K", "Q6_K", true}, {"F16", "F16", true}, {"BF16", "Q8_0", false}}) {
          const Weight gate = make_weight(*find_codec(one), kRows, columns, 2);
          const Weight up = make_weight(*find_codec(other), kRows, columns, 3);
          std::vector<float> gates(static_cast<size_t>(tokens * kStride), -7.0f), y = gates,
                                                                                  want = gates;
          Activations activations;
          activations.assign(x.data(), tokens, columns, columns);
          const Product first{&gate.packed, bias.data(), gates.data(), kStride};
          const bool done = matmul_gated(first, {&up.packed, nullptr, y.data(), kStride},
                                         activations, pool, apply);
          EXPECT_EQ(gates, want);  // not written
          EXPECT_EQ(done, alike && core(cpu_level()).bf16 != nullptr && tokens > kFewBesideBf16);
          if (!done) continue;
          matmul(gate.packed, activations, bias.data(), gates.data(), kStride, pool);
          matmul(up.packed, activations, nullptr, want.data(), kStride, pool);
          for (int64_t t = 0; t < tokens; ++t) {
            apply(gates.data() + t * kStride, want.data() + t * kStride, kRows);
          }
          EXPECT_EQ(y, want) << one << " " << other << ", " << tokens << " x " << columns;
        }
      }
    }
  });
}

// Drafts are checked with several tokens at once: each is what it is alone, bit for bit. Rows are
// no multiple of what meets at once, and columns none of a span or, of floats, of a vector.
TEST_F(MatmulTogether, SomeTokensAreWhatOneIs) {
  constexpr int64_t kRows = 37;
  ThreadPool pool(2);
  for_each_level([&] {
    for (const Codec& c : all_codecs()) {
      if (select_kernel(cpu_level(), c.id).core == nullptr) continue;
      const int64_t columns = c.is_float() ? 1101 : c.block_len == 256 ? 7 * 256 : 640;
      ASSERT_TRUE(c.divides(columns));
      const Weight w = make_weight(c, kRows, columns, 2);
      Rng rng(1);
      const auto x = codec_test::normal_row(rng, static_cast<size_t>(kAlikeTokens * columns));
      Activations activations;
      std::vector<float> alone(static_cast<size_t>(kAlikeTokens * kRows));
      for (int64_t t = 0; t < kAlikeTokens; ++t) {
        activations.assign(x.data() + t * columns, 1, columns, columns);
        matmul(w.packed, activations, nullptr, alone.data() + t * kRows, kRows, pool);
      }
      for (int64_t tokens = 2; tokens <= kAlikeTokens; ++tokens) {
        std::vector<float> y(static_cast<size_t>(tokens * kRows));
        activations.assign(x.data(), tokens, columns, columns);
        matmul(w.packed, activations, nullptr, y.data(), kRows, pool);
        EXPECT_TRUE(std::ranges::equal(y, std::span(alone).first(y.size())))
            << c.name << ", " << tokens << " tokens";
      }
    }
  });
}

}  // namespace
}  // namespace pare

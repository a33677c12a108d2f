#include "methods/encode/gptq.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace pare {
namespace {

torch::Tensor normal(int64_t rows, int64_t columns, uint64_t seed) {
  torch::Tensor t = torch::empty({rows, columns});
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data_ptr<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

// Inputs with a few strong common directions, as activations have.
torch::Tensor correlated_moment(int64_t columns, uint64_t seed) {
  const torch::Tensor mix = normal(columns / 8, columns, seed);
  const torch::Tensor x =
      torch::mm(normal(2048, columns / 8, seed + 1), mix) + 0.3f * normal(2048, columns, seed + 2);
  return torch::mm(x.transpose(0, 1), x).to(torch::kFloat64) / 2048.0;
}

class GptqOnto : public testing::TestWithParam<CodecId> {};

TEST_P(GptqOnto, BeatsRoundToNearestWhereInputsAreCorrelated) {
  const Codec& c = codec(GetParam());
  ThreadPool pool(2);
  const torch::Tensor weight = normal(48, 768, 11) * 0.02f;
  const torch::Tensor moment = correlated_moment(768, 5);
  auto factor = HessianFactor::make(moment);
  ASSERT_TRUE(factor.ok()) << factor.status().message();
  auto gptq = gptq_encode(c, weight, *factor, pool);
  ASSERT_TRUE(gptq.ok()) << gptq.status().message();
  auto rtn = rtn_encode(c, weight, moment.diagonal().contiguous(), pool);
  ASSERT_TRUE(rtn.ok()) << rtn.status().message();
  const double compensated = weighted_error(weight, gptq->decoded, moment);
  const double plain = weighted_error(weight, rtn->decoded, moment);
  EXPECT_LT(compensated, 0.75 * plain) << c.name;
  EXPECT_GT(compensated, 0.0);

  // The bytes are what was meant, and none depends on the number of threads.
  std::vector<float> row(768);
  for (int64_t r = 0; r < 48; ++r) {
    c.decode_row(gptq->bytes.data() + static_cast<uint64_t>(r) * c.row_bytes(768), row.data(), 768);
    for (int64_t k = 0; k < 768; ++k) {
      ASSERT_EQ(row[static_cast<size_t>(k)], gptq->decoded[r][k].item<float>()) << r << ", " << k;
    }
  }
  for (int threads : {1, 4}) {
    ThreadPool other(threads);
    auto again = gptq_encode(c, weight, *factor, other);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->bytes, gptq->bytes) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, GptqOnto,
                         testing::Values(CodecId::kQ4_0, CodecId::kQ5_1, CodecId::kIQ4_NL,
                                         CodecId::kIQ4_XS, CodecId::kQ2_K, CodecId::kQ3_K,
                                         CodecId::kQ4_K, CodecId::kQ5_K, CodecId::kQ6_K),
                         [](const auto& test) { return std::string(codec(test.param).name); });

TEST(Gptq, IsRoundToNearestWhereInputsAreIndependent) {
  ThreadPool pool(1);
  const torch::Tensor weight = normal(32, 512, 3);
  const torch::Tensor identity = torch::eye(512, torch::kFloat64);
  auto factor = HessianFactor::make(identity);
  ASSERT_TRUE(factor.ok());
  auto gptq = gptq_encode(codec(CodecId::kQ4_K), weight, *factor, pool);
  auto rtn = rtn_encode(codec(CodecId::kQ4_K), weight, torch::ones({512}), pool);
  ASSERT_TRUE(gptq.ok() && rtn.ok());
  const double a = weighted_error(weight, gptq->decoded, identity);
  const double b = weighted_error(weight, rtn->decoded, identity);
  EXPECT_NEAR(a / b, 1.0, 0.02);
}

TEST(Gptq, SurvivesDeadChannels) {
  ThreadPool pool(1);
  const torch::Tensor weight = normal(16, 256, 3);
  torch::Tensor moment = correlated_moment(256, 9);
  for (int64_t dead : {0, 17, 255}) {
    moment[dead].zero_();
    moment.index({torch::indexing::Slice(), dead}).zero_();
  }
  for (const torch::Tensor& m : {moment, torch::zeros({256, 256}, torch::kFloat64)}) {
    auto factor = HessianFactor::make(m);
    ASSERT_TRUE(factor.ok()) << factor.status().message();
    auto encoded = gptq_encode(codec(CodecId::kQ4_K), weight, *factor, pool);
    ASSERT_TRUE(encoded.ok());
    EXPECT_TRUE(encoded->decoded.isfinite().all().item<bool>());
    // A dead channel's weight is still rounded to something near it.
    EXPECT_LT((encoded->decoded - weight).abs().max().item<float>(), 1.5f);
  }
}

TEST(Gptq, RefusesWhatItCannotDo) {
  ThreadPool pool(1);
  auto factor = HessianFactor::make(torch::eye(96, torch::kFloat64));
  ASSERT_TRUE(factor.ok());
  const torch::Tensor weight = normal(4, 96, 1);
  EXPECT_EQ(gptq_encode(codec(CodecId::kF16), weight, *factor, pool).status().code(),
            StatusCode::kUnsupported);
  EXPECT_EQ(gptq_encode(codec(CodecId::kQ4_K), weight, *factor, pool).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(gptq_encode(codec(CodecId::kIQ2_XXS), normal(4, 256, 1), *factor, pool).status().code(),
            StatusCode::kUnsupported);
  EXPECT_FALSE(HessianFactor::make(torch::full({8, 8}, NAN, torch::kFloat64)).ok());
}

}  // namespace
}  // namespace pare

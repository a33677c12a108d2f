#include "model/transformed_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/half.h"

namespace pare {
namespace {

using testing::ElementsAre;

PackedTensor of_floats(Shape shape, std::vector<float> values) {
  auto owner = std::make_shared<std::vector<float>>(std::move(values));
  return {CodecId::kF32, shape, std::as_bytes(std::span(*owner)), owner};
}

PackedTensor of_halves(Shape shape, const std::vector<float>& values) {
  auto owner = std::make_shared<std::vector<uint16_t>>();
  for (float value : values) owner->push_back(float_to_fp16(value));
  return {CodecId::kF16, shape, std::as_bytes(std::span(*owner)), owner};
}

std::vector<float> floats(const Result<PackedTensor>& packed) {
  EXPECT_TRUE(packed.ok()) << packed.status().message();
  const Result<PackedTensor> decoded = decode_to_f32(*packed);
  EXPECT_TRUE(decoded.ok());
  std::vector<float> values(decoded->bytes.size() / 4);
  std::memcpy(values.data(), decoded->bytes.data(), decoded->bytes.size());
  return values;
}

// Two heads of four rows: halves (0 1 | 2 3) become pairs (0 2, 1 3).
TEST(InterleaveHeads, PairsTheHalvesOfEachHead) {
  const PackedTensor rows = of_floats({8, 1}, {0, 1, 2, 3, 10, 11, 12, 13});
  const Result<PackedTensor> pairs = interleave_heads(rows, 2);
  EXPECT_THAT(floats(pairs), ElementsAre(0, 2, 1, 3, 10, 12, 11, 13));
  EXPECT_THAT(floats(deinterleave_heads(*pairs, 2)), ElementsAre(0, 1, 2, 3, 10, 11, 12, 13));
}

TEST(InterleaveHeads, MovesWholeRowsOfAnyCodec) {
  // Q8_0 blocks of 34 bytes, each filled with its row's number.
  auto owner = std::make_shared<std::vector<std::byte>>();
  for (int row = 0; row < 4; ++row) owner->insert(owner->end(), 34, static_cast<std::byte>(row));
  const Result<PackedTensor> moved = interleave_heads({CodecId::kQ8_0, {4, 32}, *owner, owner}, 1);
  ASSERT_TRUE(moved.ok());
  std::vector<int> firsts;
  for (int row = 0; row < 4; ++row) {
    firsts.push_back(static_cast<int>(moved->row_bytes(row, 1)[33]));
  }
  EXPECT_THAT(firsts, ElementsAre(0, 2, 1, 3));
}

TEST(InterleaveHeads, TakesBiases) {
  EXPECT_THAT(floats(interleave_heads(of_halves({4}, {5, 6, 7, 8}), 1)), ElementsAre(5, 7, 6, 8));
}

TEST(InterleaveHeads, RefusesRowsThatAreNoHeads) {
  const PackedTensor rows = of_floats({6, 1}, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(interleave_heads(rows, 2).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(interleave_heads(rows, 0).status().code(), StatusCode::kCorrupt);
}

TEST(AddConstant, GivesFloats) {
  EXPECT_THAT(floats(add_constant(of_halves({3}, {-1, 0, 0.5}), 1)), ElementsAre(0, 1, 1.5));
}

TEST(Transpose, TurnsMatricesOver) {
  const Result<PackedTensor> turned = transpose(of_halves({2, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(floats(turned), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(turned->codec, CodecId::kF16);
  EXPECT_EQ(turned->shape, (Shape{3, 2}));
}

TEST(Transpose, GoesBeyondOneTile) {
  std::vector<float> values(70 * 45);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const std::vector<float> turned = floats(transpose(of_floats({70, 45}, values)));
  for (size_t r = 0; r < 70; ++r) {
    for (size_t c = 0; c < 45; ++c) ASSERT_EQ(turned[c * 70 + r], values[r * 45 + c]);
  }
}

}  // namespace
}  // namespace pare

#include "base/byte_reader.h"

#include <gtest/gtest.h>

#include <array>

namespace pare {
namespace {

constexpr std::array<std::byte, 11> kBytes = {
    std::byte{0x34}, std::byte{0x12}, std::byte{1}, std::byte{0},  std::byte{0}, std::byte{0x80},
    std::byte{7},    std::byte{8},    std::byte{9}, std::byte{10}, std::byte{11}};

TEST(ByteReader, ReadsLittleEndianNumbersWhereverTheyStand) {
  ByteReader reader(kBytes, "f");
  EXPECT_EQ(*reader.number<uint16_t>("a"), 0x1234);
  EXPECT_EQ(*reader.number<int32_t>("b"), INT32_MIN + 1);
  ASSERT_TRUE(reader.skip(1, "c").ok());
  const auto bytes = reader.bytes(2, "d");
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->data(), kBytes.data() + 7);
  EXPECT_EQ(reader.offset(), 9u);
  EXPECT_EQ(reader.remaining(), 2u);
}

TEST(ByteReader, WhatIsNotThereIsAnErrorAndMovesNothing) {
  ByteReader reader(kBytes, "model.gguf");
  ASSERT_TRUE(reader.skip(9, "head").ok());
  const Status error = reader.number<uint32_t>("the count").status();
  EXPECT_EQ(error.code(), StatusCode::kCorrupt);
  EXPECT_EQ(error.message(), "model.gguf: at byte 9: the count needs 4 bytes, only 2 are left");
  EXPECT_FALSE(reader.bytes(3, "x").ok());
  EXPECT_FALSE(reader.skip(3, "x").ok());
  // Sums with these would overflow.
  EXPECT_FALSE(reader.bytes(UINT64_MAX, "x").ok());
  EXPECT_FALSE(reader.skip(UINT64_MAX - 8, "x").ok());
  EXPECT_EQ(reader.offset(), 9u);
  EXPECT_TRUE(reader.bytes(2, "x").ok());
  EXPECT_TRUE(reader.bytes(0, "x").ok());
  EXPECT_FALSE(reader.number<uint8_t>("x").ok());
}

TEST(CheckedArithmetic, SaysWhenItOverflows) {
  uint64_t out = 0;
  EXPECT_TRUE(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, &out));
  EXPECT_EQ(out, UINT64_MAX - UINT32_MAX);
  EXPECT_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32, &out));
  EXPECT_TRUE(checked_add(UINT64_MAX - 1, 1, &out));
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, &out));
}

}  // namespace
}  // namespace pare

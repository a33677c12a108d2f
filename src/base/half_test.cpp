#include "base/half.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

// By the definition of binary16, in double.
double fp16_value(uint32_t h) {
  const int exponent = static_cast<int>((h >> 10) & 31);
  const double mantissa = h & 1023;
  const double sign = (h & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024.0 + mantissa, exponent - 25);
}

TEST(Fp16, AllValuesAreThoseOfTheDefinitionAndComeBack) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float got = fp16_to_float(static_cast<uint16_t>(h));
    const double want = fp16_value(h);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << h;
      ASSERT_TRUE(std::isnan(fp16_to_float(float_to_fp16(got)))) << h;
      continue;
    }
    ASSERT_EQ(got, want) << h;
    ASSERT_EQ(std::signbit(got), (h & 0x8000) != 0) << h;
    ASSERT_EQ(float_to_fp16(got), h);
  }
}

TEST(Fp16, RoundsToTheNearestAndTiesToEvenBetweenAllNeighbours) {
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    // Above the largest finite number the next one would be 65536.
    const double next = h == 0x7bff ? 65536.0 : fp16_value(h + 1);
    const auto middle = static_cast<float>((fp16_value(h) + next) / 2);
    ASSERT_EQ(float_to_fp16(middle), h % 2 == 0 ? h : h + 1) << h;
    ASSERT_EQ(float_to_fp16(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(float_to_fp16(std::nextafter(middle, INFINITY)), h + 1) << h;
    ASSERT_EQ(float_to_fp16(-middle), 0x8000 + (h % 2 == 0 ? h : h + 1)) << h;
  }
  EXPECT_EQ(float_to_fp16(3e38f), 0x7c00);
  EXPECT_EQ(float_to_fp16(-1e-38f), 0x8000);
}

TEST(Bf16, AllValuesComeBackAndNeighboursRoundToEven) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float value = bf16_to_float(static_cast<uint16_t>(h));
    ASSERT_EQ(std::bit_cast<uint32_t>(value), h << 16);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value)))) << h;
      continue;
    }
    ASSERT_EQ(float_to_bf16(value), h);
    if (std::isinf(value)) continue;
    const float middle = std::bit_cast<float>((h << 16) | 0x8000u);
    ASSERT_EQ(float_to_bf16(middle), h % 2 == 0 ? h : h + 1) << h;
    ASSERT_EQ(float_to_bf16(std::bit_cast<float>((h << 16) | 0x7fffu)), h);
    ASSERT_EQ(float_to_bf16(std::bit_cast<float>((h << 16) | 0x8001u)), h + 1);
  }
  // A NaN whose upper half alone would be an infinity.
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(E8m0, ArePowersOfTwo) {
  for (int e = 0; e < 255; ++e) {
    ASSERT_EQ(e8m0_to_float(static_cast<uint8_t>(e)), std::ldexp(1.0, e - 127)) << e;
  }
}

TEST(Ue4m3, AreThoseOfTheDefinition) {
  EXPECT_EQ(ue4m3_to_float(0x00), 0.0f);
  EXPECT_EQ(ue4m3_to_float(0x01), 0x1p-9f);  // the smallest subnormal
  EXPECT_EQ(ue4m3_to_float(0x08), 0x1p-6f);  // the smallest normal
  EXPECT_EQ(ue4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(ue4m3_to_float(0x7e), 448.0f);  // the largest
  for (int e = 1; e < 0x7f; ++e) {
    ASSERT_GT(ue4m3_to_float(static_cast<uint8_t>(e)), ue4m3_to_float(static_cast<uint8_t>(e - 1)));
  }
}

}  // namespace
}  // namespace pare

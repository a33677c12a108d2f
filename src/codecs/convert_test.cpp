// The vectorised conversions against base/half.h, bit for bit.
#include "codecs/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "base/rng.h"

namespace pare {
namespace {

uint32_t bits(float v) { return std::bit_cast<uint32_t>(v); }

std::vector<float> many_floats() {
  std::vector<float> x;
  Rng rng(1);
  for (int i = 0; i < 200000; ++i)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(rng.next())));
  // Every half, the points half-way to the next, and their neighbours.
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const uint32_t b = bits(fp16_to_float(static_cast<uint16_t>(h)));
    for (uint32_t offset : {0u, 0x0fffu, 0x1000u, 0x1001u}) {
      x.push_back(std::bit_cast<float>(b + offset));
    }
  }
  for (float v : {0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 65504.0f, 65519.99f, 65520.0f, 1e-45f}) {
    x.push_back(v);
    x.push_back(-v);
  }
  return x;
}

TEST(Convert, EveryHalfBecomesItsFloat) {
  std::vector<uint16_t> halves(0x10000);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> out(halves.size());
  const std::byte* in = reinterpret_cast<const std::byte*>(halves.data());
  fp16_to_floats(in, out.data(), static_cast<int64_t>(out.size()));
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(bits(out[i]), bits(fp16_to_float(halves[i]))) << i;
  bf16_to_floats(in, out.data(), static_cast<int64_t>(out.size()));
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(bits(out[i]), bits(bf16_to_float(halves[i]))) << i;
}

TEST(Convert, FloatsRoundAsTheScalarCodeDoes) {
  const std::vector<float> x = many_floats();
  std::vector<uint16_t> out(x.size());
  std::byte* bytes = reinterpret_cast<std::byte*>(out.data());
  floats_to_fp16(x.data(), bytes, static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(out[i], float_to_fp16(x[i])) << std::hexfloat << x[i];
  floats_to_bf16(x.data(), bytes, static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(out[i], float_to_bf16(x[i])) << std::hexfloat << x[i];
}

TEST(Convert, AnyLengthAndNothingBeyond) {
  const std::vector<float> x = many_floats();
  for (int64_t n = 0; n < 70; ++n) {
    std::vector<uint16_t> out(80, 0xabcd);
    floats_to_fp16(x.data(), reinterpret_cast<std::byte*>(out.data()), n);
    std::vector<float> back(80, 7.0f);
    fp16_to_floats(reinterpret_cast<const std::byte*>(out.data()), back.data(), n);
    for (int64_t i = 0; i < 80; ++i) {
      const size_t at = static_cast<size_t>(i);
      ASSERT_EQ(out[at], i < n ? float_to_fp16(x[at]) : 0xabcd);
      ASSERT_EQ(bits(back[at]), i < n ? bits(fp16_to_float(out[at])) : bits(7.0f));
    }
  }
}

}  // namespace
}  // namespace pare

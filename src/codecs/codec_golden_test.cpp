// Decoding, against what the `gguf` package gives for the same bytes (tools/make_codec_golden.py).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/rng.h"
#include "codecs/block_bytes.h"
#include "codecs/codec.h"

namespace pare {
namespace {

const std::string kFolder = std::string(PARE_SOURCE_DIR) + "/tests/golden/codecs/";

const char* const kNames[] = {"F16",     "BF16",   "Q4_0",  "Q4_1",    "Q5_0",  "Q5_1",   "Q8_0",
                              "Q2_K",    "Q3_K",   "Q4_K",  "Q5_K",    "Q6_K",  "IQ1_S",  "IQ1_M",
                              "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
                              "TQ1_0",   "TQ2_0",  "MXFP4", "NVFP4"};

class CodecGolden : public testing::TestWithParam<const char*> {};

TEST_P(CodecGolden, DecodesBitForBit) {
  const Codec& c = *find_codec(GetParam());
  auto text = read_text(kFolder + c.name + ".bin");
  ASSERT_TRUE(text.ok()) << text.status().message();
  const std::byte* p = reinterpret_cast<const std::byte*>(text->data());
  const size_t blocks = load_u32(p);
  const size_t n = blocks * static_cast<size_t>(c.block_len);
  const size_t packed = blocks * static_cast<size_t>(c.block_bytes);
  ASSERT_EQ(text->size(), 4 + packed + 4 * n);
  std::vector<float> decoded(n);
  c.decode_row(p + 4, decoded.data(), static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i) {
    const uint32_t expected = load_u32(p + 4 + packed + 4 * i);
    if (std::isnan(std::bit_cast<float>(expected)) && std::isnan(decoded[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), expected)
        << c.name << " element " << i << ": " << decoded[i] << ", not "
        << std::bit_cast<float>(expected);
  }
}

TEST_P(CodecGolden, DigestOfManyRandomBlocks) {
  const Codec& c = *find_codec(GetParam());
  auto text = read_text(kFolder + "digests.txt");
  ASSERT_TRUE(text.ok()) << text.status().message();
  std::istringstream lines(*text);
  std::string name, hex;
  size_t blocks = 0;
  while (lines >> name >> blocks >> hex && name != c.name) {
  }
  ASSERT_EQ(name, c.name);

  Rng rng(static_cast<uint64_t>(c.gguf_type));
  std::vector<std::byte> bytes(blocks * static_cast<size_t>(c.block_bytes) + 8);
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = rng.next();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  std::vector<float> decoded(blocks * static_cast<size_t>(c.block_len));
  c.decode_row(bytes.data(), decoded.data(), static_cast<int64_t>(decoded.size()));
  uint64_t digest = 0;
  for (size_t i = 0; i < decoded.size(); ++i) {
    const float v = decoded[i];
    digest += uint64_t{std::isnan(v) ? 0x7fc00000u : std::bit_cast<uint32_t>(v)} * (2 * i + 1);
  }
  EXPECT_EQ(digest, std::stoull(hex, nullptr, 16));
}

INSTANTIATE_TEST_SUITE_P(All, CodecGolden, testing::ValuesIn(kNames),
                         [](const auto& param) { return std::string(param.param); });

// The two types that the package does not know, by their layout.
TEST(CodecGoldenByHand, Q1_0) {
  std::byte block[18] = {};
  store_f16(block, -1.5f);
  store_u8(block + 2, 0b00000101);
  store_u8(block + 17, 0b10000000);
  float out[128];
  find_codec("Q1_0")->decode_row(block, out, 128);
  for (int i = 0; i < 128; ++i) {
    EXPECT_EQ(out[i], i == 0 || i == 2 || i == 127 ? -1.5f : 1.5f) << i;
  }
}

TEST(CodecGoldenByHand, Q2_0) {
  std::byte block[18] = {};
  store_f16(block, 0.25f);
  store_u8(block + 2, 0b11100100);   // codes 0 1 2 3 in column order
  store_u8(block + 17, 0b00011011);  // codes 3 2 1 0
  float out[64];
  find_codec("Q2_0")->decode_row(block, out, 64);
  const float first[] = {-0.25f, 0.0f, 0.25f, 0.5f};
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(out[i], i < 4 ? first[i] : i >= 60 ? first[63 - i] : -0.25f) << i;
  }
}

}  // namespace
}  // namespace pare

// The same bytes whatever the CPU: every encoder and decoder on every instruction set.
#include "codecs/simd_targets.h"

#include <gtest/gtest.h>

#include "codecs/codec_test_util.h"

namespace pare {
namespace {

using namespace codec_test;

class SameOnEveryTarget : public testing::Test {
 protected:
  void TearDown() override { limit_simd(""); }
};

TEST_F(SameOnEveryTarget, EncodeAndDecode) {
  const std::vector<std::string> targets = simd_targets();
  ASSERT_FALSE(targets.empty());
  if (targets.size() == 1) GTEST_SKIP() << "this CPU runs only " << targets[0];
  Rng rng(1);
  const std::vector<float> x = normal_row(rng, 2304, 0.02);  // 9 blocks of 256: a tail everywhere
  const std::vector<float> w = importance_row(rng, x.size());
  for (const Codec& c : all_codecs()) {
    if (c.encode_row == nullptr) continue;
    for (const float* importance : {static_cast<const float*>(nullptr), w.data()}) {
      limit_simd(targets[0]);
      const std::vector<std::byte> expected = encode(c, x, importance);
      const std::vector<float> values = decode(c, expected, x.size());
      for (const std::string& target : targets) {
        limit_simd(target);
        EXPECT_TRUE(encode(c, x, importance) == expected) << c.name << " on " << target;
        EXPECT_TRUE(decode(c, expected, x.size()) == values) << c.name << " on " << target;
      }
    }
  }
}

}  // namespace
}  // namespace pare

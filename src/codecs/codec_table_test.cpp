#include <gtest/gtest.h>

#include "codecs/codec.h"

namespace pare {
namespace {

TEST(CodecTable, IdsFollowTheEnum) {
  int expected = 0;
  for (const Codec& c : all_codecs()) {
    EXPECT_EQ(static_cast<int>(c.id), expected++) << c.name;
    EXPECT_EQ(&codec(c.id), &c);
  }
  EXPECT_EQ(expected, static_cast<int>(CodecId::kQ2_0) + 1);
}

}  // namespace
}  // namespace pare

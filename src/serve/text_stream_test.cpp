#include "serve/text_stream.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

// All pieces, with '|' between what came out at each step.
std::string run(TextStream stream, const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += stream.add(piece) + "|";
  return out + stream.finish();
}

TEST(TextStream, PassesTextOn) { EXPECT_EQ(run(TextStream(), {"a", "b c", ""}), "a|b c||"); }

TEST(TextStream, HoldsUnfinishedCharactersBack) {
  EXPECT_EQ(run(TextStream(), {"x\xe2", "\x82", "\xac!"}), "x||\xe2\x82\xac!|");
  EXPECT_EQ(run(TextStream(), {"\xf0\x9f", "\x98\x80"}), "|\xf0\x9f\x98\x80|");
  // What never becomes one is replaced, also at the end.
  EXPECT_EQ(run(TextStream(), {"\xe2", "a"}),
            "|\xef\xbf\xbd"
            "a|");
  EXPECT_EQ(run(TextStream(), {"a\xc3"}), "a|\xef\xbf\xbd");
  EXPECT_EQ(run(TextStream(), {"\x80"}), "\xef\xbf\xbd|");
}

TEST(TextStream, StopsAcrossPieces) {
  EXPECT_EQ(run(TextStream({"END"}), {"one E", "N", "D two", "three"}), "one ||||");
  EXPECT_EQ(run(TextStream({"END"}), {"one E", "N", "o"}), "one ||ENo|");
  EXPECT_EQ(run(TextStream({"END"}), {"one EN"}), "one |EN");
  // The one that begins first, whatever their order.
  EXPECT_EQ(run(TextStream({"c", "b"}), {"abc"}), "a|");
  EXPECT_EQ(run(TextStream({"aab"}), {"aa", "aab"}), "|aa|");
}

TEST(TextStream, SaysThatItStopped) {
  TextStream stream({"\n\n", ""});
  stream.add("a\n");
  EXPECT_FALSE(stream.stopped());
  stream.add("\nb");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.add("c") + stream.finish(), "");
}

}  // namespace
}  // namespace pare

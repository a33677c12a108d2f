#include "base/hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace pare {
namespace {

TEST(Hasher, PiecesDoNotMatterFieldsDo) {
  std::vector<std::byte> bytes(1003);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  Hasher whole;
  whole.add(bytes);
  for (size_t cut : {1u, 7u, 8u, 9u, 500u}) {
    Hasher pieces;
    for (size_t at = 0; at < bytes.size(); at += cut) {
      pieces.add_piece(std::span(bytes).subspan(at, std::min<size_t>(cut, bytes.size() - at)));
    }
    EXPECT_EQ(pieces.hex(), whole.hex()) << cut;
  }
  Hasher two, one;
  two.add_text("ab");
  two.add_text("c");
  one.add_text("abc");
  EXPECT_NE(two.hex(), one.hex());
  Hasher before, after;
  before.add_text("");
  before.add_text("a");
  after.add_text("a");
  after.add_text("");
  EXPECT_NE(before.hex(), after.hex());
}

TEST(Hasher, EveryBitCounts) {
  std::vector<std::byte> bytes(64);
  Hasher base;
  base.add(bytes);
  for (size_t bit = 0; bit < 512; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    Hasher changed;
    changed.add(bytes);
    EXPECT_NE(changed.hex(), base.hex()) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
}

}  // namespace
}  // namespace pare

#include "compress/piece_writer.h"

#include <gtest/gtest.h>

#include <string>

namespace pare {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(PieceWriter, HandsOnEveryPieceInOrder) {
  std::string seen, meant;
  PieceWriter writer([&](std::span<const std::byte> piece) -> Status {
    seen.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return {};
  });
  for (int i = 0; i < 500; ++i) {
    std::string piece = std::to_string(i) + std::string(static_cast<size_t>(i % 7), '.');
    meant += piece;
    ASSERT_TRUE(writer.write(bytes(piece)).ok());
    piece.assign(piece.size(), '!');  // a copy was taken
    if (i % 100 == 99) {
      ASSERT_TRUE(writer.flush().ok());
      EXPECT_EQ(seen, meant);
    }
  }
}

TEST(PieceWriter, AnErrorIsToldAndNothingFollowsIt) {
  int calls = 0;
  PieceWriter writer([&](std::span<const std::byte>) -> Status {
    return ++calls == 3 ? io_error("the disk is full") : Status();
  });
  Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) status = writer.write(bytes("piece"));
  EXPECT_EQ(writer.flush().message(), "the disk is full");
  EXPECT_EQ(writer.write(bytes("more")).message(), "the disk is full");
  EXPECT_EQ(writer.flush().message(), "the disk is full");
  EXPECT_EQ(calls, 3);
}

TEST(PieceWriter, EndsWhilePiecesWait) {
  for (int i = 0; i < 50; ++i) {
    PieceWriter writer([](std::span<const std::byte>) -> Status { return {}; });
    ASSERT_TRUE(writer.write(bytes("a")).ok());
    ASSERT_TRUE(writer.write(bytes("b")).ok());
  }
}

}  // namespace
}  // namespace pare

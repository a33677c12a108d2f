// The device's descriptions of codecs, run on the host, against the codecs. Needs no GPU.
#include "kernels/cuda/units.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "codecs/codec_test_util.h"
#include "codecs/iq_codebooks.h"
#include "kernels/unpack.h"

namespace pare::cuda {
namespace {

template <typename Book>
const uint8_t* bytes_of(const Book& book) {
  return reinterpret_cast<const uint8_t*>(book.data());
}

Books host_books() {
  return {bytes_of(kIq1Book),  bytes_of(kIq2XxsBook), bytes_of(kIq2XsBook),
          bytes_of(kIq2SBook), bytes_of(kIq3XxsBook), bytes_of(kIq3SBook)};
}

template <typename C>
void expect_what_the_codec_decodes() {
  const Codec& c = codec(C::kId);
  SCOPED_TRACE(c.name);
  ASSERT_EQ(c.block_len, C::kBlockLen);
  int bytes = 0;
  for (int f = 0; f < C::kFieldCount; ++f) {
    EXPECT_EQ(C::field(f).begin, bytes) << "fields tile the block";
    bytes += C::field(f).bytes;
  }
  ASSERT_EQ(bytes, c.block_bytes);
  Rng rng(11);
  for (int repeat = 0; repeat < 300; ++repeat) {
    const auto packed = codec_test::random_bytes(rng, static_cast<size_t>(c.block_bytes));
    const auto expected = codec_test::decode(c, packed, static_cast<size_t>(c.block_len));
    const auto* first = reinterpret_cast<const uint8_t*>(packed.data());
    Block block{};
    for (int f = 0; f < C::kFieldCount; ++f) block.field[f] = first + C::field(f).begin;
    std::set<int> columns;
    for (int u = 0; u < C::kBlockLen / kUnitColumns; ++u) {
      for (int g = 0; g < 2; ++g) {
        EXPECT_EQ(C::unit_of(C::column(u, g) / kGroupColumns), u);
        EXPECT_EQ(C::group_of(C::column(u, g) / kGroupColumns), g);
      }
      Unit unit;
      C::unpack(block, u, host_books(), &unit);
      for (int i = 0; i < kUnitColumns; ++i) {
        const int g = i / kGroupColumns, column = C::column(u, g) + i % kGroupColumns;
        columns.insert(column);
        // One chunk of 128 columns of a product holds both groups.
        EXPECT_EQ(column / 128, u * kUnitColumns / 128);
        const float want = expected[static_cast<size_t>(column)];
        if (!std::isfinite(want)) continue;
        const float product = unit.scale[g] * static_cast<float>(level_at(unit, i) - C::kZero);
        EXPECT_TRUE(C::kOffsets || unit.offset[g] == 0.0f);
        ASSERT_NEAR(product + unit.offset[g], want,
                    1e-6f * (std::abs(product) + std::abs(unit.offset[g])))
            << "unit " << u << ", column " << column;
      }
    }
    ASSERT_EQ(columns.size(), static_cast<size_t>(C::kBlockLen)) << "every column once";
  }
}

template <typename... C>
void for_all(CodecList<C...>, std::set<CodecId>* seen) {
  (expect_what_the_codec_decodes<C>(), ...);
  (seen->insert(C::kId), ...);
}

TEST(DeviceUnits, SayWhatTheCodecsDecode) {
  std::set<CodecId> seen;
  for_all(LegacyCodecs(), &seen);
  for_all(SmallCodecs(), &seen);
  for_all(KCodecs(), &seen);
  for_all(LatticeCodecs(), &seen);
  for (const Codec& c : all_codecs()) {
    EXPECT_EQ(seen.count(c.id) == 1, find_unpacker(CpuLevel::kRef, c.id) != nullptr) << c.name;
  }
}

}  // namespace
}  // namespace pare::cuda

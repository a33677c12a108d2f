#include "kernels/unpack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/codec_test_util.h"

namespace pare {
namespace {

// Random bytes are every code there is; what they decode to must be finite to be compared.
bool finite(const std::vector<float>& x) {
  return std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
}

TEST(Unpack, SaysWhatTheCodecDecodes) {
  for (CpuLevel level : cpu_levels()) {
    for (const Codec& c : all_codecs()) {
      const Unpacker* u = find_unpacker(level, c.id);
      ASSERT_EQ(u != nullptr, c.grid != nullptr) << c.name;
      if (u == nullptr) continue;
      const PlanarForm& f = u->form;
      Rng rng(7);
      auto piece = std::make_unique<PlanarPiece>();
      for (int64_t columns : {c.block_len, 2 * c.block_len, kPieceColumns}) {
        const auto n = static_cast<size_t>(columns);
        for (int repeat = 0; repeat < 20; ++repeat) {
          std::vector<std::byte> bytes;
          std::vector<float> expected;
          do {  // block by block, so that few are refused
            auto block = codec_test::random_bytes(rng, static_cast<size_t>(c.block_bytes));
            const auto values = codec_test::decode(c, block, static_cast<size_t>(c.block_len));
            if (!finite(values)) continue;
            bytes.insert(bytes.end(), block.begin(), block.end());
            expected.insert(expected.end(), values.begin(), values.end());
          } while (expected.size() < n);
          std::memset(piece.get(), 0xff, sizeof(PlanarPiece));
          u->unpack(bytes.data(), columns, piece.get());
          for (size_t i = 0; i < n; ++i) {
            const float scale = piece->scale[i / static_cast<size_t>(f.scale_len)];
            const float offset =
                f.offset_len == 0 ? 0.0f : piece->offset[i / static_cast<size_t>(f.offset_len)];
            const int integer = piece->level[i] - f.zero;
            ASSERT_LE(piece->level[i], f.max_level);
            const float value = scale * static_cast<float>(integer) + offset;
            // The product is exact but for its last rounding, wherever a format splits it.
            const float slack =
                1e-6f * (std::fabs(scale * static_cast<float>(integer)) + std::fabs(offset));
            ASSERT_NEAR(value, expected[i], slack)
                << c.name << " " << cpu_level_name(level) << " column " << i << " of " << n;
          }
        }
      }
    }
  }
}

// The last byte of a mapped file is the end of what may be read.
TEST(Unpack, ReadsNoByteBehindTheRow) {
  for (CpuLevel level : cpu_levels()) {
    for (const Codec& c : all_codecs()) {
      const Unpacker* u = find_unpacker(level, c.id);
      if (u == nullptr) continue;
      // A vector of exactly the row: the address sanitizer guards its end.
      const std::vector<std::byte> bytes(static_cast<size_t>(c.block_bytes));
      auto piece = std::make_unique<PlanarPiece>();
      u->unpack(bytes.data(), c.block_len, piece.get());
    }
  }
}

}  // namespace
}  // namespace pare

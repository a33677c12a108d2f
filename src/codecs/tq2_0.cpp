#include "codecs/tq2_0.h"

#include "codecs/block_bytes.h"
#include "codecs/ternary.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// Each half of 128 columns takes 32 bytes; byte j of a half holds columns j, j + 32, j + 64
// and j + 96 of it, lowest bits first.
constexpr UniformFormat kFormat = {
    .block_len = 256,
    .block_bytes = 66,
    .low = -1,
    .high = 1,
    .fit = UniformFit::kSymmetric,
    .candidates = &kTernaryCandidates,
    .kept = 1,
    .refits = 0,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          for (int i = 0; i < 256; ++i) {
            const int code = load_u8(in + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
            block->levels[i] = static_cast<int8_t>(code - 1);
          }
          block->d = load_f16(in + 64);
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          for (int byte = 0; byte < 64; ++byte) {
            const int8_t* levels = block.levels + byte / 32 * 128 + byte % 32;
            uint32_t bits = 0;
            for (int c = 0; c < 4; ++c) bits |= static_cast<uint32_t>(levels[32 * c] + 1) << 2 * c;
            store_u8(out + byte, bits);
          }
          store_f16(out + 64, block.d);
        },
};

}  // namespace

Codec tq2_0_codec() {
  return uniform_codec<kFormat>(CodecId::kTQ2_0, "TQ2_0", 35, CodecId::kQ4_0, 0.46f);
}

}  // namespace pare

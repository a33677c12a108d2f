#include "codecs/q2_0.h"

#include "codecs/block_bytes.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr Candidates kCandidates = {
    .scale = {2.30f, 1.90f, 1.60f, 1.30f, 1.00f, 3.00f, -1.00f, -1.30f, -1.60f, -2.00f, -2.50f,
              -3.20f, -3.20f, -3.20f, -3.20f, -3.20f},
    .shift = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
              0.0f, 0.0f},
};

constexpr UniformFormat kFormat = {
    .block_len = 64,
    .block_bytes = 18,
    .low = -1,
    .high = 2,
    .fit = UniformFit::kSymmetric,
    .candidates = &kCandidates,
    .refits = 2,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          for (int i = 0; i < 64; ++i) {
            const int code = load_u8(in + 2 + i / 4) >> (2 * (i % 4)) & 3;
            block->levels[i] = static_cast<int8_t>(code - 1);
          }
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          for (int byte = 0; byte < 16; ++byte) {
            uint32_t bits = 0;
            for (int c = 0; c < 4; ++c) {
              bits |= static_cast<uint32_t>(block.levels[byte * 4 + c] + 1) << (2 * c);
            }
            store_u8(out + 2 + byte, bits);
          }
        },
};

}  // namespace

Codec q2_0_codec() {
  return uniform_codec<kFormat>(CodecId::kQ2_0, "Q2_0", 42, CodecId::kQ4_0, 0.45f);
}

}  // namespace pare

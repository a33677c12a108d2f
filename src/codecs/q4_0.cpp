#include "codecs/q4_0.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr Candidates kCandidates = {
    .scale = {-7.00f, -7.30f, -7.60f, -7.90f, -8.20f, -8.50f, -8.90f, -9.50f, 6.40f, 6.70f, 7.00f,
              7.30f, 7.60f, 8.00f, 8.50f, 8.50f},
    .shift = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
              0.0f, 0.0f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 18,
    .low = -8,
    .high = 7,
    .fit = UniformFit::kSymmetric,
    .candidates = &kCandidates,
    .refits = 2,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          load_nibbles(in + 2, block->levels);
          for (int i = 0; i < 32; ++i) block->levels[i] -= 8;
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          store_nibbles(block.levels, 8, out + 2);
        },
};

}  // namespace

Codec q4_0_codec() {
  return uniform_codec<kFormat>(CodecId::kQ4_0, "Q4_0", 2, CodecId::kF16, 0.1f);
}

}  // namespace pare

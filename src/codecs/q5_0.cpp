#include "codecs/q5_0.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr Candidates kCandidates = {
    .scale = {-15.00f, -15.30f, -15.60f, -15.90f, -16.20f, -16.50f, -16.90f, -17.50f, 14.40f,
              14.70f, 15.00f, 15.30f, 15.60f, 16.00f, 16.50f, 16.50f},
    .shift = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
              0.0f, 0.0f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 22,
    .low = -16,
    .high = 15,
    .fit = UniformFit::kSymmetric,
    .candidates = &kCandidates,
    .refits = 2,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          load_nibbles(in + 6, block->levels);
          load_fifth_bits(in + 2, block->levels);
          for (int i = 0; i < 32; ++i) block->levels[i] -= 16;
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          store_fifth_bits(block.levels, 16, out + 2);
          store_nibbles(block.levels, 16, out + 6);
        },
};

}  // namespace

Codec q5_0_codec() {
  return uniform_codec<kFormat>(CodecId::kQ5_0, "Q5_0", 6, CodecId::kF16, 0.05f);
}

}  // namespace pare

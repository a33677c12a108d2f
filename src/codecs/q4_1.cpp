#include "codecs/q4_1.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr Candidates kCandidates = {
    .scale = {13.80f, 14.20f, 14.60f, 15.00f, 15.50f, 15.50f, 15.50f, 16.00f, 16.00f, 16.00f,
              16.00f, 16.00f, 16.00f, 16.00f, 16.00f, 16.00f},
    .shift = {0.00f, 0.00f, 0.00f, 0.00f, 0.00f, -0.25f, -0.50f, 0.00f, -0.50f, -1.00f, -1.00f,
              -1.00f, -1.00f, -1.00f, -1.00f, -1.00f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 20,
    .low = 0,
    .high = 15,
    .fit = UniformFit::kAffine,
    .candidates = &kCandidates,
    .refits = 2,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          block->m = load_f16(in + 2);
          load_nibbles(in + 4, block->levels);
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          store_f16(out + 2, block.m);
          store_nibbles(block.levels, 0, out + 4);
        },
};

}  // namespace

Codec q4_1_codec() {
  return uniform_codec<kFormat>(CodecId::kQ4_1, "Q4_1", 3, CodecId::kF16, 0.1f);
}

}  // namespace pare

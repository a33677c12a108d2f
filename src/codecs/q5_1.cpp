#include "codecs/q5_1.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr Candidates kCandidates = {
    .scale = {29.80f, 30.20f, 30.60f, 31.00f, 31.50f, 31.50f, 31.50f, 32.00f, 32.00f, 32.00f,
              32.00f, 32.00f, 32.00f, 32.00f, 32.00f, 32.00f},
    .shift = {0.00f, 0.00f, 0.00f, 0.00f, 0.00f, -0.25f, -0.50f, 0.00f, -0.50f, -1.00f, -1.00f,
              -1.00f, -1.00f, -1.00f, -1.00f, -1.00f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 24,
    .low = 0,
    .high = 31,
    .fit = UniformFit::kAffine,
    .candidates = &kCandidates,
    .refits = 2,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          block->m = load_f16(in + 2);
          load_nibbles(in + 8, block->levels);
          load_fifth_bits(in + 4, block->levels);
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          store_f16(out + 2, block.m);
          store_fifth_bits(block.levels, 0, out + 4);
          store_nibbles(block.levels, 0, out + 8);
        },
};

}  // namespace

Codec q5_1_codec() {
  return uniform_codec<kFormat>(CodecId::kQ5_1, "Q5_1", 7, CodecId::kF16, 0.05f);
}

}  // namespace pare

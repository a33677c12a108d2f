#include "codecs/q5_1.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// Chosen as in ternary.h; refits bring the error within 0.5 % of a dense search.
constexpr Candidates kCandidates = {
    .scale = {27.68f, 28.44f, 28.44f, 29.25f, 29.25f, 30.1f, 30.1f, 31.0f, 31.0f, 31.0f, 31.96f,
              31.96f, 32.98f, 32.98f, 32.98f, 34.07f},
    .shift = {1.66f, 0.85f, 1.71f, 0.0f, 1.76f, 0.0f, 0.9f, 0.0f, 0.93f, -0.93f, -0.96f, 0.0f, 0.0f,
              -0.99f, -1.98f, -1.02f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 24,
    .low = 0,
    .high = 31,
    .fit = UniformFit::kAffine,
    .candidates = &kCandidates,
    .kept = 3,
    .refits = 1,
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

#include "codecs/q4_1.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// Chosen as in ternary.h; refits bring the error within 0.5 % of a dense search.
constexpr Candidates kCandidates = {
    .scale = {13.39f, 13.76f, 14.15f, 14.56f, 14.56f, 15.0f, 15.0f, 15.46f, 15.46f, 15.96f, 15.96f,
              16.48f, 16.48f, 16.48f, 16.48f, 18.29f},
    .shift = {0.8f, 0.83f, 0.0f, 0.0f, 0.44f, 0.0f, 0.45f, -0.46f, 0.0f, -0.48f, -0.96f, -0.99f,
              -1.48f, -0.49f, 0.0f, -2.74f},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 20,
    .low = 0,
    .high = 15,
    .fit = UniformFit::kAffine,
    .candidates = &kCandidates,
    .kept = 1,
    .refits = 1,
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

#include "codecs/q5_0.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// Chosen as in ternary.h; refits bring the error within 0.5 % of a dense search.
constexpr Candidates kCandidates = {
    .scale = {-24.0f, -20.0f, -18.4f, -17.6f, -17.0f, -16.4f, -16.0f, -15.8f, -15.4f, -15.0f,
              -14.6f, -14.2f, -13.6f, -12.8f, 15.0f, 16.8f},
    .shift = {},
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 22,
    .low = -16,
    .high = 15,
    .fit = UniformFit::kSymmetric,
    .candidates = &kCandidates,
    .kept = 3,
    .refits = 1,
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

#include "codecs/q4_0.h"

#include "codecs/nibbles.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// Chosen as in ternary.h; refits bring the error within 0.5 % of a dense search.
constexpr Candidates kCandidates = {
    .scale = {-16.0f, -12.0f, -11.2f, -10.2f, -9.3f, -8.8f, -8.4f, -8.1f, -7.8f, -7.3f, -6.9f,
              -6.3f, 7.0f, 8.7f, 9.5f, 12.8f},
    .shift = {},
};

// Within 0.15 %, where all columns matter the same.
constexpr Candidates kUnweighted = {
    .scale = {-9.1f, -8.8f, -8.4f, -8.2f, -7.8f, -7.3f, -6.9f, 6.0f},
    .shift = {},
    .count = 8,
};

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 18,
    .low = -8,
    .high = 7,
    .fit = UniformFit::kSymmetric,
    .candidates = &kCandidates,
    .unweighted = &kUnweighted,
    .kept = 1,
    .refits = 1,
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

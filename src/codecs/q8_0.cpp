#include "codecs/q8_0.h"

#include <cstring>

#include "codecs/block_bytes.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr UniformFormat kFormat = {
    .block_len = 32,
    .block_bytes = 34,
    .low = -127,
    .high = 127,
    .fit = UniformFit::kAbsMax,
    .candidates = nullptr,
    .kept = 1,
    .refits = 0,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          std::memcpy(block->levels, in + 2, 32);
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          std::memcpy(out + 2, block.levels, 32);
        },
};

}  // namespace

Codec q8_0_codec() {
  return uniform_codec<kFormat>(CodecId::kQ8_0, "Q8_0", 8, CodecId::kF16, 0.006f);
}

}  // namespace pare

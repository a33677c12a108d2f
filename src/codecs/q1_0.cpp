#include "codecs/q1_0.h"

#include "codecs/block_bytes.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

constexpr UniformFormat kFormat = {
    .block_len = 128,
    .block_bytes = 18,
    .low = -1,
    .high = 1,
    .fit = UniformFit::kSigns,
    .candidates = nullptr,
    .kept = 1,
    .refits = 0,
    .load =
        [](const std::byte* in, UniformBlock* block) {
          block->d = load_f16(in);
          for (int byte = 0; byte < 16; ++byte) {
            const int bits = load_u8(in + 2 + byte);
            for (int b = 0; b < 8; ++b) {
              block->levels[byte * 8 + b] = static_cast<int8_t>((bits >> b & 1) * 2 - 1);
            }
          }
        },
    .store =
        [](const UniformBlock& block, std::byte* out) {
          store_f16(out, block.d);
          for (int byte = 0; byte < 16; ++byte) {
            uint32_t bits = 0;
            for (int b = 0; b < 8; ++b) bits |= (block.levels[byte * 8 + b] > 0 ? 1u : 0u) << b;
            store_u8(out + 2 + byte, bits);
          }
        },
};

}  // namespace

Codec q1_0_codec() {
  return uniform_codec<kFormat>(CodecId::kQ1_0, "Q1_0", 41, std::nullopt, 0.62f);
}

}  // namespace pare

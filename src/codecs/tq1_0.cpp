#include "codecs/tq1_0.h"

#include "codecs/block_bytes.h"
#include "codecs/ternary.h"
#include "codecs/uniform.h"

namespace pare {
namespace {

// A byte holds up to five trits t0..t4 as the fraction 0.t0 t1 t2 t3 t4 (base 3) in 1/256,
// rounded up: multiplying by 3 brings the next trit over the binary point. The trits of a
// byte are `stride` columns apart: 32 bytes of stride 32, 16 of stride 16, 4 of stride 4 (four
// trits each).
struct Part {
  int bytes, trits;
};
constexpr Part kParts[] = {{32, 5}, {16, 5}, {4, 4}};

void load_trits(const std::byte* in, UniformBlock* block) {
  int8_t* levels = block->levels;
  for (const Part& part : kParts) {
    for (int j = 0; j < part.bytes; ++j) {
      uint32_t fraction = load_u8(in + j);
      for (int t = 0; t < part.trits; ++t) {
        levels[j + t * part.bytes] = static_cast<int8_t>(static_cast<int>(fraction * 3 >> 8) - 1);
        fraction = fraction * 3 & 255;
      }
    }
    in += part.bytes;
    levels += part.bytes * part.trits;
  }
  block->d = load_f16(in);
}

void store_trits(const UniformBlock& block, std::byte* out) {
  const int8_t* levels = block.levels;
  for (const Part& part : kParts) {
    for (int j = 0; j < part.bytes; ++j) {
      uint32_t number = 0;
      for (int t = 0; t < 5; ++t) {
        const int trit = t < part.trits ? levels[j + t * part.bytes] + 1 : 0;
        number = number * 3 + static_cast<uint32_t>(trit);
      }
      store_u8(out + j, (number * 256 + 242) / 243);
    }
    out += part.bytes;
    levels += part.bytes * part.trits;
  }
  store_f16(out, block.d);
}

constexpr UniformFormat kFormat = {
    .block_len = 256,
    .block_bytes = 54,
    .low = -1,
    .high = 1,
    .fit = UniformFit::kSymmetric,
    .candidates = &kTernaryCandidates,
    .kept = 1,
    .refits = 0,
    .load = load_trits,
    .store = store_trits,
};

}  // namespace

Codec tq1_0_codec() {
  return uniform_codec<kFormat>(CodecId::kTQ1_0, "TQ1_0", 34, CodecId::kQ4_0, 0.46f);
}

}  // namespace pare

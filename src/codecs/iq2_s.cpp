#include "codecs/iq2_s.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// Unit u: byte u of the indices, its top two bits in byte u / 4 of the high bits, sign byte u.
constexpr int kIndices = 2, kSigns = 34, kHighBits = 66, kScales = 74;

void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int u = 0; u < 32; ++u) {
    const uint32_t high = load_u8(in + kHighBits + u / 4) >> (2 * (u % 4)) & 3u;
    const uint32_t index = load_u8(in + kIndices + u) | high << 8;
    codes[u] = static_cast<int32_t>(index | static_cast<uint32_t>(load_u8(in + kSigns + u)) << 16);
  }
  lattice::load_scale_nibbles(in + kScales, 8, params);
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int byte = 0; byte < 8; ++byte) {
    uint32_t high = 0;
    for (int c = 0; c < 4; ++c) {
      const int u = 4 * byte + c;
      const uint32_t code = static_cast<uint32_t>(codes[u]);
      store_u8(out + kIndices + u, code);
      store_u8(out + kSigns + u, code >> 16);
      high |= (code >> 8 & 3u) << (2 * c);
    }
    store_u8(out + kHighBits + byte, high);
  }
  lattice::store_scale_nibbles(params, 8, out + kScales);
}

constexpr LatticeFormat kFormat = {.block_bytes = 82,
                                   .group_len = 16,
                                   .scale_codes = 16,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 0.25f,
                                   .max_level = 43.0f,
                                   .has_shift = false,
                                   .levels = lattice::levels_of_eight<kIq2SBook>,
                                   .nearest = lattice::nearest_of_eight<kIq2SBook, false>,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq2_s_codec() { return lattice_codec<kFormat>(CodecId::kIQ2_S, "IQ2_S", 22, 0.43f); }

}  // namespace pare

#include "codecs/iq3_s.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// Unit u: bytes 2u and 2u + 1 of the indices, bits 2u and 2u + 1 of the high bits, sign byte u.
constexpr int kIndices = 2, kHighBits = 66, kSigns = 74, kScales = 106;

void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int u = 0; u < 32; ++u) {
    const uint32_t high = load_u8(in + kHighBits + u / 4) >> (2 * (u % 4)) & 3u;
    const uint32_t first = load_u8(in + kIndices + 2 * u) | (high & 1u) << 8;
    const uint32_t second = load_u8(in + kIndices + 2 * u + 1) | (high >> 1) << 8;
    const uint32_t signs = load_u8(in + kSigns + u);
    codes[u] = static_cast<int32_t>(first | second << 9 | signs << 18);
  }
  lattice::load_scale_nibbles(in + kScales, 4, params);
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int byte = 0; byte < 8; ++byte) {
    uint32_t high = 0;
    for (int c = 0; c < 4; ++c) {
      const int u = 4 * byte + c;
      const uint32_t code = static_cast<uint32_t>(codes[u]);
      store_u8(out + kIndices + 2 * u, code);
      store_u8(out + kIndices + 2 * u + 1, code >> 9);
      store_u8(out + kSigns + u, code >> 18);
      high |= ((code >> 8 & 1u) | (code >> 17 & 1u) << 1) << (2 * c);
    }
    store_u8(out + kHighBits + byte, high);
  }
  lattice::store_scale_nibbles(params, 4, out + kScales);
}

constexpr LatticeFormat kFormat = {.block_bytes = 110,
                                   .group_len = 32,
                                   .scale_codes = 16,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 2.0f,
                                   .max_level = 15.0f,
                                   .has_shift = false,
                                   .levels = lattice::levels_of_four<kIq3SBook>,
                                   .nearest = lattice::nearest_of_four<kIq3SBook, false>,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq3_s_codec() { return lattice_codec<kFormat>(CodecId::kIQ3_S, "IQ3_S", 21, 0.23f); }

}  // namespace pare

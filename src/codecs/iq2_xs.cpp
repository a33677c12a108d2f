#include "codecs/iq2_xs.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// Unit u of 8 columns: a word of 9-bit grid index and 7-bit sign index. Byte j of the scales
// holds groups 2j (low nibble) and 2j + 1 of 16 columns.
void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int u = 0; u < 32; ++u) {
    const uint32_t word = load_u16(in + 2 + 2 * u);
    codes[u] = static_cast<int32_t>((word & 511u) | lattice::even_signs(word >> 9) << 16);
  }
  lattice::load_scale_nibbles(in + 66, 8, params);
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int u = 0; u < 32; ++u) {
    const uint32_t code = static_cast<uint32_t>(codes[u]);
    store_u16(out + 2 + 2 * u, static_cast<uint16_t>((code & 511u) | (code >> 16 & 127u) << 9));
  }
  lattice::store_scale_nibbles(params, 8, out + 66);
}

constexpr LatticeFormat kFormat = {.block_bytes = 74,
                                   .group_len = 16,
                                   .scale_codes = 16,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 0.25f,
                                   .max_level = 43.0f,
                                   .has_shift = false,
                                   .levels = lattice::levels_of_eight<kIq2XsBook>,
                                   .nearest = lattice::nearest_of_eight<kIq2XsBook, true>,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq2_xs_codec() { return lattice_codec<kFormat>(CodecId::kIQ2_XS, "IQ2_XS", 17, 0.46f); }

}  // namespace pare

#include "codecs/iq2_xxs.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// Group g of 32 columns: four bytes of grid index, then a word of four 7-bit sign indices
// with the scale in its top four bits.
void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int g = 0; g < 8; ++g) {
    const std::byte* group = in + 2 + 8 * g;
    const uint32_t word = load_u32(group + 4);
    params->scale_code[static_cast<size_t>(g)] = static_cast<int16_t>(word >> 28);
    for (int u = 0; u < 4; ++u) {
      const uint32_t signs = lattice::even_signs(word >> (7 * u) & 127u);
      codes[4 * g + u] = static_cast<int32_t>(load_u8(group + u) | signs << 16);
    }
  }
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int g = 0; g < 8; ++g) {
    std::byte* group = out + 2 + 8 * g;
    uint32_t word = static_cast<uint32_t>(params.scale_code[static_cast<size_t>(g)]) << 28;
    for (int u = 0; u < 4; ++u) {
      const uint32_t code = static_cast<uint32_t>(codes[4 * g + u]);
      store_u8(group + u, code);
      word |= (code >> 16 & 127u) << (7 * u);
    }
    store_u32(group + 4, word);
  }
}

constexpr LatticeFormat kFormat = {.block_bytes = 66,
                                   .group_len = 32,
                                   .scale_codes = 16,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 0.25f,
                                   .max_level = 43.0f,
                                   .has_shift = false,
                                   .levels = lattice::levels_of_eight<kIq2XxsBook>,
                                   .nearest = lattice::nearest_of_eight<kIq2XxsBook, true>,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq2_xxs_codec() { return lattice_codec<kFormat>(CodecId::kIQ2_XXS, "IQ2_XXS", 16, 0.5f); }

}  // namespace pare

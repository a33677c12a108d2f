#include "codecs/iq3_xxs.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// 64 bytes of grid index, two per unit; then for each group of 32 columns a word of four
// 7-bit sign indices with the scale in its top four bits.
constexpr int kIndices = 2, kWords = 66;

void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int g = 0; g < 8; ++g) {
    const uint32_t word = load_u32(in + kWords + 4 * g);
    params->scale_code[static_cast<size_t>(g)] = static_cast<int16_t>(word >> 28);
    for (int u = 0; u < 4; ++u) {
      const std::byte* pair = in + kIndices + 8 * g + 2 * u;
      const uint32_t indices = load_u8(pair) | static_cast<uint32_t>(load_u8(pair + 1)) << 9;
      const uint32_t signs = lattice::even_signs(word >> (7 * u) & 127u);
      codes[4 * g + u] = static_cast<int32_t>(indices | signs << 18);
    }
  }
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int g = 0; g < 8; ++g) {
    uint32_t word = static_cast<uint32_t>(params.scale_code[static_cast<size_t>(g)]) << 28;
    for (int u = 0; u < 4; ++u) {
      const uint32_t code = static_cast<uint32_t>(codes[4 * g + u]);
      store_u8(out + kIndices + 8 * g + 2 * u, code);
      store_u8(out + kIndices + 8 * g + 2 * u + 1, code >> 9);
      word |= (code >> 18 & 127u) << (7 * u);
    }
    store_u32(out + kWords + 4 * g, word);
  }
}

constexpr LatticeFormat kFormat = {.block_bytes = 98,
                                   .group_len = 32,
                                   .scale_codes = 16,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 0.5f,
                                   .max_level = 62.0f,
                                   .has_shift = false,
                                   .levels = lattice::levels_of_four<kIq3XxsBook>,
                                   .nearest = lattice::nearest_of_four<kIq3XxsBook, true>,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq3_xxs_codec() { return lattice_codec<kFormat>(CodecId::kIQ3_XXS, "IQ3_XXS", 18, 0.27f); }

}  // namespace pare

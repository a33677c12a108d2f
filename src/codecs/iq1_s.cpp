#include "codecs/iq1_s.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// 32 bytes of grid index, one per unit; then for each group of 32 columns a word: the top
// three index bits of its four units, the scale (3 bits), the sign of the shift (top bit).
constexpr int kIndices = 2, kWords = 34;

void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  params->d = load_f16(in);
  for (int g = 0; g < 8; ++g) {
    const uint32_t word = load_u16(in + kWords + 2 * g);
    params->scale_code[static_cast<size_t>(g)] = static_cast<int16_t>(word >> 12 & 7u);
    params->offset_code[static_cast<size_t>(g)] = static_cast<int16_t>(word >> 15);
    for (int u = 0; u < 4; ++u) {
      const uint32_t high = word >> (3 * u) & 7u;
      codes[4 * g + u] = static_cast<int32_t>(load_u8(in + kIndices + 4 * g + u) | high << 8);
    }
  }
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  store_f16(out, params.d);
  for (int g = 0; g < 8; ++g) {
    uint32_t word = static_cast<uint32_t>(params.scale_code[static_cast<size_t>(g)]) << 12 |
                    static_cast<uint32_t>(params.offset_code[static_cast<size_t>(g)]) << 15;
    for (int u = 0; u < 4; ++u) {
      const uint32_t code = static_cast<uint32_t>(codes[4 * g + u]);
      store_u8(out + kIndices + 4 * g + u, code);
      word |= (code >> 8 & 7u) << (3 * u);
    }
    store_u16(out + kWords + 2 * g, static_cast<uint16_t>(word));
  }
}

constexpr LatticeFormat kFormat = {
    .block_bytes = 50,
    .group_len = 32,
    .scale_codes = 8,
    .scale_offset = 0.5f,
    .scale_factor = 2.0f,
    .max_level = 1.0f + lattice::kIq1Shift,
    .has_shift = true,
    .levels = [](int32_t code, int shift,
                 float* out) { lattice::iq1_levels(static_cast<uint32_t>(code), shift != 0, out); },
    .nearest =
        [](const float* x, int shift, const float* weights) {
          float cost;
          return static_cast<int32_t>(lattice::iq1_nearest(x, shift != 0, weights, &cost));
        },
    .load = load,
    .store = store};

}  // namespace

Codec iq1_s_codec() { return lattice_codec<kFormat>(CodecId::kIQ1_S, "IQ1_S", 19, 0.6f); }

}  // namespace pare

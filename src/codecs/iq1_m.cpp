#include "codecs/iq1_m.h"

#include "codecs/block_bytes.h"
#include "codecs/lattice.h"
#include "codecs/lattice_search.h"

namespace pare {
namespace {

// 32 bytes of grid index, one per unit; 16 bytes with a nibble per unit (top three index
// bits, sign of the shift); four words of four 3-bit scales, one per 16 columns, whose top
// nibbles are d, lowest nibble first.
constexpr int kIndices = 0, kHighBits = 32, kScales = 48;

void load(const std::byte* in, SpanParams* params, int32_t* codes) {
  uint32_t d_bits = 0;
  for (int w = 0; w < 4; ++w) {
    const uint32_t word = load_u16(in + kScales + 2 * w);
    d_bits |= (word >> 12) << (4 * w);
    for (int s = 0; s < 4; ++s) {
      params->scale_code[static_cast<size_t>(4 * w + s)] =
          static_cast<int16_t>(word >> (3 * s) & 7u);
    }
  }
  params->d = fp16_to_float(static_cast<uint16_t>(d_bits));
  for (int u = 0; u < 32; ++u) {
    const uint32_t high = load_u8(in + kHighBits + u / 2) >> (4 * (u % 2)) & 15u;
    codes[u] = static_cast<int32_t>(load_u8(in + kIndices + u) | high << 8);
  }
}

void store(const SpanParams& params, const int32_t* codes, std::byte* out) {
  const uint32_t d_bits = float_to_fp16(params.d);
  for (int w = 0; w < 4; ++w) {
    uint32_t word = (d_bits >> (4 * w) & 15u) << 12;
    for (int s = 0; s < 4; ++s) {
      word |= static_cast<uint32_t>(params.scale_code[static_cast<size_t>(4 * w + s)]) << (3 * s);
    }
    store_u16(out + kScales + 2 * w, static_cast<uint16_t>(word));
  }
  for (int byte = 0; byte < 16; ++byte) {
    const uint32_t even = static_cast<uint32_t>(codes[2 * byte]);
    const uint32_t odd = static_cast<uint32_t>(codes[2 * byte + 1]);
    store_u8(out + kIndices + 2 * byte, even);
    store_u8(out + kIndices + 2 * byte + 1, odd);
    store_u8(out + kHighBits + byte, (even >> 8 & 15u) | (odd >> 8 & 15u) << 4);
  }
}

constexpr uint32_t kShiftBit = 1u << 11;

void levels(int32_t code, int /*shift*/, float* out) {
  const uint32_t c = static_cast<uint32_t>(code);
  lattice::iq1_levels(c & (kShiftBit - 1), (c & kShiftBit) != 0, out);
}

int32_t nearest(const float* x, int /*shift*/, const float* weights) {
  float up_cost;
  float down_cost;
  const uint32_t up = lattice::iq1_nearest(x, false, weights, &up_cost);
  const uint32_t down = lattice::iq1_nearest(x, true, weights, &down_cost);
  return static_cast<int32_t>(down_cost < up_cost ? down | kShiftBit : up);
}

constexpr LatticeFormat kFormat = {.block_bytes = 56,
                                   .group_len = 16,
                                   .scale_codes = 8,
                                   .scale_offset = 0.5f,
                                   .scale_factor = 2.0f,
                                   .max_level = 1.0f + lattice::kIq1Shift,
                                   .has_shift = false,
                                   .levels = levels,
                                   .nearest = nearest,
                                   .load = load,
                                   .store = store};

}  // namespace

Codec iq1_m_codec() { return lattice_codec<kFormat>(CodecId::kIQ1_M, "IQ1_M", 29, 0.55f); }

}  // namespace pare

// Eight 6-bit scales and eight 6-bit minima in 12 bytes, as Q4_K and Q5_K store them. Groups 0-3:
// the low six bits of bytes 0-3 (scales) and 4-7 (minima). Groups 4-7: the low four bits are the
// halves of bytes 8-11 (scale low, minimum high); the upper two stand above groups 0-3's.
#pragma once

#include <cstdint>

#include "codecs/codec.h"

namespace pare::kquant {

inline void unpack_scales6(const uint8_t* in, SpanParams* params) {
  for (size_t g = 0; g < 4; ++g) {
    params->scale_code[g] = static_cast<int16_t>(in[g] & 63);
    params->offset_code[g] = static_cast<int16_t>(in[g + 4] & 63);
    params->scale_code[g + 4] = static_cast<int16_t>((in[g + 8] & 15) | ((in[g] >> 6) << 4));
    params->offset_code[g + 4] = static_cast<int16_t>((in[g + 8] >> 4) | ((in[g + 4] >> 6) << 4));
  }
}

inline void pack_scales6(const SpanParams& params, uint8_t* out) {
  for (size_t g = 0; g < 4; ++g) {
    const int scale = params.scale_code[g + 4];
    const int offset = params.offset_code[g + 4];
    out[g] = static_cast<uint8_t>(params.scale_code[g] | ((scale >> 4) << 6));
    out[g + 4] = static_cast<uint8_t>(params.offset_code[g] | ((offset >> 4) << 6));
    out[g + 8] = static_cast<uint8_t>((scale & 15) | ((offset & 15) << 4));
  }
}

}  // namespace pare::kquant

#include "codecs/iq4_xs.h"

#include "codecs/kquant_codec.h"

namespace pare {

namespace {

// f16 d, u16 of high code bits, 4 bytes of low code bits, 128 bytes of indices. Byte 16 g + i
// holds columns 32 g + i (low half) and 32 g + 16 + i. Scale code + 32 of group g: low four bits
// in half g & 1 of byte g / 2, high two at bits 2 g of the u16.
struct IQ4XS : kquant::TableLevels {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 136;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_table(x, importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_symmetric(8, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* index) {
    params->d = kquant::load_half(in);
    uint16_t high;
    std::memcpy(&high, in + 2, sizeof(high));
    for (size_t g = 0; g < 8; ++g) {
      const int low = (in[4 + g / 2] >> (4 * (g & 1))) & 15;
      params->scale_code[g] = static_cast<int16_t>((low | (((high >> (2 * g)) & 3) << 4)) - 32);
    }
    for (int g = 0; g < 8; ++g) kquant::unpack_halves(in + 8 + 16 * g, index + 32 * g);
  }

  static void pack(const SpanParams& params, const int8_t* index, uint8_t* out) {
    kquant::store_half(params.d, out);
    std::memset(out + 2, 0, 6);
    uint16_t high = 0;
    for (size_t g = 0; g < 8; ++g) {
      const int c = params.scale_code[g] + 32;
      out[4 + g / 2] = static_cast<uint8_t>(out[4 + g / 2] | ((c & 15) << (4 * (g & 1))));
      high = static_cast<uint16_t>(high | ((c >> 4) << (2 * g)));
    }
    std::memcpy(out + 2, &high, sizeof(high));
    for (int g = 0; g < 8; ++g) kquant::pack_halves(index + 32 * g, out + 8 + 16 * g);
  }
};

}  // namespace

Codec iq4_xs_codec() {
  return kquant::make_codec<IQ4XS>(CodecId::kIQ4_XS, "IQ4_XS", 23, CodecId::kIQ4_NL, 0.09f);
}

}  // namespace pare

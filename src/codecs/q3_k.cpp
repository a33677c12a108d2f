#include "codecs/q3_k.h"

#include "codecs/kquant_codec.h"

namespace pare {

namespace {

// 32 bytes of high bits, 64 bytes of low bits, 12 bytes of codes, f16 d. Level + 4 has its low two
// bits at bits 2 j, 2 j + 1 of byte 32 h + i and its high bit at bit 4 h + j of byte i, for column
// 128 h + 32 j + i. Scale code + 32 of group 4 k + r: low four bits in byte 4 (k & 1) + r, half
// k >> 1; high two at bits 2 k of byte 8 + r.
struct Q3K : kquant::EvenLevels<-4, 3, 16> {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 110;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_symmetric({.group_len = kGroupLen, .min_level = kMinLevel, .min_code = -32}, x,
                          importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_symmetric(16, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* levels) {
    const uint8_t* low = in + 32;
    for (int h = 0; h < 2; ++h) {
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 32; ++i) {
          const int bits = (low[32 * h + i] >> (2 * j)) & 3;
          const int high = (in[i] >> (4 * h + j)) & 1;
          levels[128 * h + 32 * j + i] = static_cast<int8_t>((bits | (high << 2)) - 4);
        }
      }
    }
    const uint8_t* codes = in + 96;
    for (size_t k = 0; k < 4; ++k) {
      for (size_t r = 0; r < 4; ++r) {
        const int bits = (codes[4 * (k & 1) + r] >> (4 * (k >> 1))) & 15;
        const int high = (codes[8 + r] >> (2 * k)) & 3;
        params->scale_code[4 * k + r] = static_cast<int16_t>((bits | (high << 4)) - 32);
      }
    }
    params->d = kquant::load_half(in + 108);
  }

  static void pack(const SpanParams& params, const int8_t* levels, uint8_t* out) {
    std::memset(out, 0, 108);
    uint8_t* low = out + 32;
    for (int h = 0; h < 2; ++h) {
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 32; ++i) {
          const int l = levels[128 * h + 32 * j + i] + 4;
          low[32 * h + i] = static_cast<uint8_t>(low[32 * h + i] | ((l & 3) << (2 * j)));
          out[i] = static_cast<uint8_t>(out[i] | ((l >> 2) << (4 * h + j)));
        }
      }
    }
    uint8_t* codes = out + 96;
    for (size_t k = 0; k < 4; ++k) {
      for (size_t r = 0; r < 4; ++r) {
        const int c = params.scale_code[4 * k + r] + 32;
        uint8_t& bits = codes[4 * (k & 1) + r];
        bits = static_cast<uint8_t>(bits | ((c & 15) << (4 * (k >> 1))));
        codes[8 + r] = static_cast<uint8_t>(codes[8 + r] | ((c >> 4) << (2 * k)));
      }
    }
    kquant::store_half(params.d, out + 108);
  }
};

}  // namespace

Codec q3_k_codec() {
  return kquant::make_codec<Q3K>(CodecId::kQ3_K, "Q3_K", 11, CodecId::kQ4_0, 0.2f);
}

}  // namespace pare

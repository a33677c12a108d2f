#include "codecs/q2_k.h"

#include "codecs/kquant_codec.h"

namespace pare {

namespace {

// 16 bytes of codes (scale in the low half, minimum in the high half), 64 bytes of levels, f16 d,
// f16 dmin. Bits 2 j and 2 j + 1 of level byte 32 h + i are column 128 h + 32 j + i.
struct Q2K : kquant::EvenLevels<0, 3, 16> {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 84;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_affine({.group_len = kGroupLen, .max_level = kMaxLevel, .max_code = 15}, x,
                       importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_affine(16, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* levels) {
    for (size_t g = 0; g < 16; ++g) {
      params->scale_code[g] = static_cast<int16_t>(in[g] & 15);
      params->offset_code[g] = static_cast<int16_t>(in[g] >> 4);
    }
    const uint8_t* q = in + 16;
    for (int h = 0; h < 2; ++h) {
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 32; ++i) {
          levels[128 * h + 32 * j + i] = static_cast<int8_t>((q[32 * h + i] >> (2 * j)) & 3);
        }
      }
    }
    params->d = kquant::load_half(in + 80);
    params->dmin = kquant::load_half(in + 82);
  }

  static void pack(const SpanParams& params, const int8_t* levels, uint8_t* out) {
    for (size_t g = 0; g < 16; ++g) {
      out[g] = static_cast<uint8_t>(params.scale_code[g] | (params.offset_code[g] << 4));
    }
    for (int h = 0; h < 2; ++h) {
      const int8_t* l = levels + 128 * h;
      for (int i = 0; i < 32; ++i) {
        out[16 + 32 * h + i] =
            static_cast<uint8_t>(l[i] | (l[32 + i] << 2) | (l[64 + i] << 4) | (l[96 + i] << 6));
      }
    }
    kquant::store_half(params.d, out + 80);
    kquant::store_half(params.dmin, out + 82);
  }
};

}  // namespace

Codec q2_k_codec() {
  return kquant::make_codec<Q2K>(CodecId::kQ2_K, "Q2_K", 10, CodecId::kQ4_0, 0.35f);
}

}  // namespace pare

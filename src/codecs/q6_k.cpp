#include "codecs/q6_k.h"

#include "codecs/kquant_codec.h"

namespace pare {

namespace {

// 128 bytes of low bits, 64 bytes of high bits, 16 signed bytes of codes, f16 d. Level + 32 of
// column 128 h + 32 j + i: low four bits in byte 64 h + 32 (j & 1) + i, half j >> 1; high two at
// bits 2 j of byte 32 h + i.
struct Q6K : kquant::EvenLevels<-32, 31, 16> {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 210;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_symmetric({.group_len = kGroupLen, .min_level = kMinLevel, .min_code = -128}, x,
                          importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_symmetric(16, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* levels) {
    for (int h = 0; h < 2; ++h) {
      const uint8_t* low = in + 64 * h;
      const uint8_t* high = in + 128 + 32 * h;
      int8_t* l = levels + 128 * h;
      for (int i = 0; i < 32; ++i) {
        const int bits = high[i];
        l[i] = static_cast<int8_t>(((low[i] & 15) | ((bits & 3) << 4)) - 32);
        l[32 + i] = static_cast<int8_t>(((low[32 + i] & 15) | (((bits >> 2) & 3) << 4)) - 32);
        l[64 + i] = static_cast<int8_t>(((low[i] >> 4) | (((bits >> 4) & 3) << 4)) - 32);
        l[96 + i] = static_cast<int8_t>(((low[32 + i] >> 4) | ((bits >> 6) << 4)) - 32);
      }
    }
    for (size_t g = 0; g < 16; ++g) params->scale_code[g] = static_cast<int8_t>(in[192 + g]);
    params->d = kquant::load_half(in + 208);
  }

  static void pack(const SpanParams& params, const int8_t* levels, uint8_t* out) {
    for (int h = 0; h < 2; ++h) {
      uint8_t* low = out + 64 * h;
      uint8_t* high = out + 128 + 32 * h;
      const int8_t* l = levels + 128 * h;
      for (int i = 0; i < 32; ++i) {
        const int a = l[i] + 32, b = l[32 + i] + 32, c = l[64 + i] + 32, e = l[96 + i] + 32;
        low[i] = static_cast<uint8_t>((a & 15) | ((c & 15) << 4));
        low[32 + i] = static_cast<uint8_t>((b & 15) | ((e & 15) << 4));
        high[i] =
            static_cast<uint8_t>((a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((e >> 4) << 6));
      }
    }
    for (size_t g = 0; g < 16; ++g) out[192 + g] = static_cast<uint8_t>(params.scale_code[g]);
    kquant::store_half(params.d, out + 208);
  }
};

}  // namespace

Codec q6_k_codec() {
  return kquant::make_codec<Q6K>(CodecId::kQ6_K, "Q6_K", 14, CodecId::kQ8_0, 0.025f);
}

}  // namespace pare

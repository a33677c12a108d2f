#include "codecs/q5_k.h"

#include "codecs/kquant_codec.h"
#include "codecs/kquant_scales6.h"

namespace pare {

namespace {

// As Q4_K, with each level's fifth bit apart: bit g of byte i is that of column 32 g + i.
struct Q5K : kquant::EvenLevels<0, 31, 32> {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 176;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_affine({.group_len = kGroupLen, .max_level = kMaxLevel, .max_code = 63}, x,
                       importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_affine(8, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* levels) {
    params->d = kquant::load_half(in);
    params->dmin = kquant::load_half(in + 2);
    kquant::unpack_scales6(in + 4, params);
    const uint8_t* high = in + 16;
    const uint8_t* q = in + 48;
    for (int c = 0; c < 4; ++c) {
      for (int i = 0; i < 32; ++i) {
        const int low = q[32 * c + i];
        const int bits = high[i] >> (2 * c);
        levels[64 * c + i] = static_cast<int8_t>((low & 15) | ((bits & 1) << 4));
        levels[64 * c + 32 + i] = static_cast<int8_t>((low >> 4) | ((bits & 2) << 3));
      }
    }
  }

  static void pack(const SpanParams& params, const int8_t* levels, uint8_t* out) {
    kquant::store_half(params.d, out);
    kquant::store_half(params.dmin, out + 2);
    kquant::pack_scales6(params, out + 4);
    uint8_t* high = out + 16;
    uint8_t* q = out + 48;
    std::memset(high, 0, 32);
    for (int c = 0; c < 4; ++c) {
      for (int i = 0; i < 32; ++i) {
        const int a = levels[64 * c + i];
        const int b = levels[64 * c + 32 + i];
        q[32 * c + i] = static_cast<uint8_t>((a & 15) | ((b & 15) << 4));
        high[i] = static_cast<uint8_t>(high[i] | (((a >> 4) | ((b >> 4) << 1)) << (2 * c)));
      }
    }
  }
};

}  // namespace

Codec q5_k_codec() {
  return kquant::make_codec<Q5K>(CodecId::kQ5_K, "Q5_K", 13, CodecId::kQ5_1, 0.045f);
}

}  // namespace pare

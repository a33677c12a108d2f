#include "codecs/q4_k.h"

#include "codecs/kquant_codec.h"
#include "codecs/kquant_scales6.h"

namespace pare {

namespace {

// f16 d, f16 dmin, 12 bytes of codes, 128 bytes of levels: byte 32 c + i holds columns 64 c + i
// (low half) and 64 c + 32 + i (high half).
struct Q4K : kquant::EvenLevels<0, 15, 32> {
  static constexpr int kBlockLen = kquant::kTile;
  static constexpr int kBlockBytes = 144;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    kquant::fit_affine({.group_len = kGroupLen, .max_level = kMaxLevel, .max_code = 63}, x,
                       importance, params);
  }
  static void expand(SpanParams* params) { kquant::expand_affine(8, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* levels) {
    params->d = kquant::load_half(in);
    params->dmin = kquant::load_half(in + 2);
    kquant::unpack_scales6(in + 4, params);
    const uint8_t* q = in + 16;
    for (int c = 0; c < 4; ++c) {
      for (int i = 0; i < 32; ++i) {
        levels[64 * c + i] = static_cast<int8_t>(q[32 * c + i] & 15);
        levels[64 * c + 32 + i] = static_cast<int8_t>(q[32 * c + i] >> 4);
      }
    }
  }

  static void pack(const SpanParams& params, const int8_t* levels, uint8_t* out) {
    kquant::store_half(params.d, out);
    kquant::store_half(params.dmin, out + 2);
    kquant::pack_scales6(params, out + 4);
    uint8_t* q = out + 16;
    for (int c = 0; c < 4; ++c) {
      for (int i = 0; i < 32; ++i) {
        q[32 * c + i] = static_cast<uint8_t>(levels[64 * c + i] | (levels[64 * c + 32 + i] << 4));
      }
    }
  }
};

}  // namespace

Codec q4_k_codec() {
  return kquant::make_codec<Q4K>(CodecId::kQ4_K, "Q4_K", 12, CodecId::kQ5_0, 0.085f);
}

}  // namespace pare

#include "codecs/iq4_nl.h"

#include "codecs/kquant_codec.h"

namespace pare {

namespace {

// f16 d and 16 bytes of indices. SpanParams: d, and scale[0] = d (scale code 1).
struct IQ4NL : kquant::TableLevels {
  static constexpr int kBlockLen = 32;
  static constexpr int kBlockBytes = 18;

  static void fit(const float* x, const float* importance, SpanParams* params) {
    *params = {};
    kquant::fit_table_blocks(x, importance, kBlockLen, &params->d);
    params->scale_code[0] = 1;
    expand(params);
  }
  static void expand(SpanParams* params) { kquant::expand_symmetric(1, params); }

  static void unpack(const uint8_t* in, SpanParams* params, int8_t* index) {
    params->d = kquant::load_half(in);
    params->scale_code[0] = 1;
    kquant::unpack_halves(in + 2, index);
  }

  static void pack(const SpanParams& params, const int8_t* index, uint8_t* out) {
    kquant::store_half(params.d, out);
    kquant::pack_halves(index, out + 2);
  }
};

// Eight blocks at a time, which is what the kernels' width is for.
void encode(const float* in, const float* importance, std::byte* out, int64_t n) {
  alignas(64) std::array<int8_t, kquant::kTile> index;
  for (int64_t i = 0; i < n; i += kquant::kTile) {
    const int part = static_cast<int>(std::min<int64_t>(kquant::kTile, n - i));
    SpanParams all;
    kquant::fit_table_blocks(in + i, importance == nullptr ? nullptr : importance + i, part,
                             all.scale.data());
    kquant::round_to_table(in + i, all, part, index.data());
    for (int b = 0; b < part / IQ4NL::kBlockLen; ++b, out += IQ4NL::kBlockBytes) {
      SpanParams block;
      block.d = all.scale[static_cast<size_t>(b)];
      IQ4NL::pack(block, index.data() + b * IQ4NL::kBlockLen, reinterpret_cast<uint8_t*>(out));
    }
  }
}

}  // namespace

Codec iq4_nl_codec() {
  Codec c = kquant::make_codec<IQ4NL>(CodecId::kIQ4_NL, "IQ4_NL", 20, CodecId::kF16, 0.09f);
  c.encode_row = encode;
  return c;
}

}  // namespace pare

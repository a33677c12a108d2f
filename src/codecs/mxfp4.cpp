#include "codecs/mxfp4.h"

#include "codecs/fp4.h"

namespace pare {
namespace {

// 2^(code - 128): the E8M0 scale, halved because the levels are doubled. Code 255 is NaN in
// the specification; runtimes read it as 2^127, and so do we.
constexpr std::array<float, 256> make_scales() {
  std::array<float, 256> scales{};
  float scale = 0x1p-128f;
  for (float& s : scales) {
    s = scale;
    scale = s < 0x1p127f ? s * 2.0f : s;
  }
  return scales;
}
constexpr std::array<float, 256> kScales = make_scales();

constexpr Fp4Format kFormat = {.block_len = 32,
                               .block_bytes = 17,
                               .group_len = 32,
                               .max_scale_code = 252,  // 12 * 2^124 is finite
                               .tries = 4,
                               .scales = kScales.data()};

}  // namespace

Codec mxfp4_codec() {
  return fp4_codec<kFormat>(CodecId::kMXFP4, "MXFP4", 39, CodecId::kF16, 0.13f);
}

}  // namespace pare

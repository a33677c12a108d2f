#include "codecs/nvfp4.h"

#include "codecs/fp4.h"

namespace pare {
namespace {

// Unsigned E4M3 (bias 7), halved because the levels are doubled. The byte 0x7f, NaN in the
// specification, reads as 0 in runtimes; the top bit is ignored, so 0xff is a plain 240.
constexpr std::array<float, 256> make_scales() {
  std::array<float, 256> scales{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15;
    const int mantissa = code & 7;
    float scale = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8);
    for (int e = exponent == 0 ? 1 : exponent; e < 11; ++e) scale *= 0.5f;
    for (int e = 11; e < exponent; ++e) scale *= 2.0f;
    scales[static_cast<size_t>(code)] = code == 0x7f ? 0.0f : scale;
  }
  return scales;
}
constexpr std::array<float, 256> kScales = make_scales();
static_assert(kScales[0x38] == 0.5f && kScales[1] == 0x1p-10f && kScales[0x7e] == 224.0f);

constexpr Fp4Format kFormat = {.block_len = 64,
                               .block_bytes = 36,
                               .group_len = 16,
                               .max_scale_code = 0x7e,
                               .tries = 16,
                               .scales = kScales.data()};

}  // namespace

Codec nvfp4_codec() {
  return fp4_codec<kFormat>(CodecId::kNVFP4, "NVFP4", 40, std::nullopt, 0.11f);
}

}  // namespace pare

// The plain unpacker of every quantized codec, from its grid.
#include <array>
#include <cmath>
#include <vector>

#include "codecs/codec.h"
#include "kernels/unpack.h"

namespace pare {
namespace {

// Levels of the grid are multiples of 1 / kFactor (IQ1's of an eighth).
template <CodecId kId>
constexpr float kFactor = kId == CodecId::kIQ1_S || kId == CodecId::kIQ1_M ? 8.0f : 1.0f;
constexpr int kZero = 128;

template <CodecId kId>
void unpack(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Codec& c = codec(kId);
  const Grid& grid = *c.grid;
  const int span = grid.fit_span(), unit = grid.round_unit();
  SpanParams params, unscaled;
  std::array<int32_t, 256> codes;
  uint8_t* level = out->level;
  float* scale = out->scale;
  float* offset = out->offset;
  for (int64_t begin = 0; begin < columns; begin += span, in += c.row_bytes(span)) {
    grid.unpack(in, &params, codes.data());
    unscaled = params;
    unscaled.scale.fill(1.0f);
    unscaled.offset.fill(0.0f);
    std::array<float, 8> values;
    for (int i = 0; i < span; i += unit) {
      grid.values(unscaled, i, codes[static_cast<size_t>(i / unit)], values.data());
      for (size_t v = 0; v < static_cast<size_t>(unit); ++v) {
        *level++ = static_cast<uint8_t>(std::lround(values[v] * kFactor<kId>) + kZero);
      }
    }
    for (int i = 0; i < span; i += 16) {
      const auto g = static_cast<size_t>(i / grid.group_len());
      *scale++ = params.scale[g] / kFactor<kId>;
      *offset++ = params.offset[g];
    }
  }
}

template <CodecId... kIds>
std::vector<Unpacker> make() {
  return {{"ref", kIds, {16, 16, kZero, 255}, unpack<kIds>}...};
}

}  // namespace

std::span<const Unpacker> ref_unpackers() {
  using enum CodecId;
  static const auto list = make<kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K,
                                kQ6_K, kIQ1_S, kIQ1_M, kIQ2_XXS, kIQ2_XS, kIQ2_S, kIQ3_XXS, kIQ3_S,
                                kIQ4_NL, kIQ4_XS, kTQ1_0, kTQ2_0, kMXFP4, kNVFP4, kQ1_0, kQ2_0>();
  return list;
}

}  // namespace pare

#include "codecs/kquant_tile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/half.h"

namespace pare::kquant {

namespace {

// The largest magnitude. Integer comparison, which compilers vectorise; NaN counts as large.
float largest(const float* v, int n) {
  uint32_t most = 0;
  for (int i = 0; i < n; ++i) most = std::max(most, std::bit_cast<uint32_t>(v[i]) & 0x7fffffffu);
  return std::bit_cast<float>(most);
}

// The exponent e of v = m 2^e, 1 <= m < 2, kept where 2^e and 2^-e are normal floats.
int exponent_of(float v) {
  const int biased = static_cast<int>(std::bit_cast<uint32_t>(v) >> 23);
  return std::clamp(biased - 127, -126, 126);
}

float power_of_two(int e) { return std::bit_cast<float>(static_cast<uint32_t>(e + 127) << 23); }

}  // namespace

void load_tile(const float* x, const float* importance, int n, Tile* tile) {
  const float x_max = largest(x, n);
  tile->all_zero = x_max == 0.0f;
  tile->exponent = exponent_of(x_max);
  const float x_unit = power_of_two(-tile->exponent);
  const float w_max = importance != nullptr ? largest(importance, n) : 0.0f;
  if (n < static_cast<int>(kLanes * kLanes))
    std::fill(std::begin(tile->x), std::end(tile->x), 0.0f);
  for (size_t lane = 0; lane < static_cast<size_t>(n) / kLanes; ++lane) {
    for (size_t i = 0; i < kLanes; ++i) {
      tile->x[i * kLanes + lane] = x[lane * kLanes + i] * x_unit;
    }
  }
  std::fill(std::begin(tile->w), std::end(tile->w), 1.0f);
  if (w_max == 0.0f) return;
  const float w_unit = power_of_two(-exponent_of(w_max));
  for (size_t lane = 0; lane < static_cast<size_t>(n) / kLanes; ++lane) {
    for (size_t i = 0; i < kLanes; ++i) {
      tile->w[i * kLanes + lane] = std::max(importance[lane * kLanes + i] * w_unit, 0x1p-24f);
    }
  }
}

float to_stored(const Tile& tile, float v) {
  const float scaled = std::clamp(std::ldexp(v, tile.exponent), -65504.0f, 65504.0f);
  return fp16_to_float(float_to_fp16(scaled));
}

float from_stored(const Tile& tile, float stored) { return stored * power_of_two(-tile.exponent); }

}  // namespace pare::kquant

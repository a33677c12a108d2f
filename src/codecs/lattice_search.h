// Levels and nearest entries of the lattice codebooks, by brute force: exact, and as slow as
// its codebook is long. Codes are packed as lattice.h says.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "codecs/block_bytes.h"
#include "codecs/codec.h"
#include "codecs/iq_codebooks.h"

namespace pare::lattice {

// The sign byte of a 7-bit sign index: bit 7 makes the number of set bits even.
inline uint32_t even_signs(uint32_t index) {
  return index | (static_cast<uint32_t>(std::popcount(index)) & 1u) << 7;
}

// Scale codes as nibbles: byte j holds groups 2j (low) and 2j + 1.
inline void load_scale_nibbles(const std::byte* in, int bytes, SpanParams* params) {
  for (int j = 0; j < bytes; ++j) {
    params->scale_code[static_cast<size_t>(2 * j)] = load_u8(in + j) & 15;
    params->scale_code[static_cast<size_t>(2 * j + 1)] = load_u8(in + j) >> 4;
  }
}

inline void store_scale_nibbles(const SpanParams& params, int bytes, std::byte* out) {
  for (int j = 0; j < bytes; ++j) {
    const int low = params.scale_code[static_cast<size_t>(2 * j)];
    const int high = params.scale_code[static_cast<size_t>(2 * j + 1)];
    store_u8(out + j, static_cast<uint32_t>(low | high << 4));
  }
}

inline float negate_if(bool negative, int level) {
  return static_cast<float>(negative ? -level : level);
}

// The nearest entries to |x| of one codebook: `plain` with every sign as it is, `flipped` with
// the one sign turned that costs least. Costs are relative to the same constant.
template <size_t kValues>
struct Nearest {
  float plain_cost = std::numeric_limits<float>::infinity();
  float flipped_cost = std::numeric_limits<float>::infinity();
  uint32_t plain = 0, flipped = 0;
  uint32_t flip_bit = 0;
};

template <size_t kEntries, size_t kValues>
Nearest<kValues> nearest_magnitudes(const Codebook<kEntries, kValues>& book, const float* x,
                                    const float* weights, bool want_flipped) {
  Nearest<kValues> best;
  for (uint32_t e = 0; e < kEntries; ++e) {
    float cost = 0.0f;
    float cheapest_flip = std::numeric_limits<float>::infinity();
    uint32_t flip_bit = 0;
    for (uint32_t v = 0; v < kValues; ++v) {
      const float level = book[e][v];
      const float magnitude = std::fabs(x[v]);
      cost += weights[v] * (level - 2.0f * magnitude) * level;
      // (|x| + level)^2 - (|x| - level)^2 = 4 |x| level
      const float flip = 4.0f * weights[v] * magnitude * level;
      if (flip < cheapest_flip) cheapest_flip = flip, flip_bit = v;
    }
    if (cost < best.plain_cost) best.plain_cost = cost, best.plain = e;
    if (want_flipped && cost + cheapest_flip < best.flipped_cost) {
      best.flipped_cost = cost + cheapest_flip;
      best.flipped = e;
      best.flip_bit = flip_bit;
    }
  }
  return best;
}

inline uint32_t sign_byte(const float* x) {
  uint32_t signs = 0;
  for (uint32_t v = 0; v < 8; ++v) signs |= (x[v] < 0.0f ? 1u : 0u) << v;
  return signs;
}

// IQ2: one codebook of eight magnitudes.
template <const auto& kBook>
void levels_of_eight(int32_t code, int /*shift*/, float* out) {
  const auto& entry = kBook[static_cast<uint32_t>(code) & 0xffffu];
  const uint32_t signs = static_cast<uint32_t>(code) >> 16;
  for (uint32_t v = 0; v < 8; ++v) out[v] = negate_if((signs >> v & 1u) != 0, entry[v]);
}

template <const auto& kBook, bool kEvenSigns>
int32_t nearest_of_eight(const float* x, int /*shift*/, const float* weights) {
  uint32_t signs = sign_byte(x);
  const bool flip = kEvenSigns && std::popcount(signs) % 2 != 0;
  const auto best = nearest_magnitudes(kBook, x, weights, flip);
  if (flip) signs ^= 1u << best.flip_bit;
  return static_cast<int32_t>((flip ? best.flipped : best.plain) | signs << 16);
}

// IQ3: two entries of a codebook of four magnitudes.
template <const auto& kBook>
void levels_of_four(int32_t code, int /*shift*/, float* out) {
  const uint32_t c = static_cast<uint32_t>(code);
  const uint32_t signs = c >> 18;
  for (uint32_t v = 0; v < 8; ++v) {
    const int level = kBook[c >> (v / 4 * 9) & 511u][v % 4];
    out[v] = negate_if((signs >> v & 1u) != 0, level);
  }
}

template <const auto& kBook, bool kEvenSigns>
int32_t nearest_of_four(const float* x, int /*shift*/, const float* weights) {
  uint32_t signs = sign_byte(x);
  const bool flip = kEvenSigns && std::popcount(signs) % 2 != 0;
  const auto low = nearest_magnitudes(kBook, x, weights, flip);
  const auto high = nearest_magnitudes(kBook, x + 4, weights + 4, flip);
  uint32_t first = low.plain;
  uint32_t second = high.plain;
  if (flip) {
    if (low.flipped_cost + high.plain_cost <= low.plain_cost + high.flipped_cost) {
      first = low.flipped;
      signs ^= 1u << low.flip_bit;
    } else {
      second = high.flipped;
      signs ^= 1u << (4 + high.flip_bit);
    }
  }
  return static_cast<int32_t>(first | second << 9 | signs << 18);
}

// IQ1: signed entries, all shifted by +-1/8; the shift's sign is the group's or the code's.
inline constexpr float kIq1Shift = 0.125f;

inline void iq1_levels(uint32_t index, bool negative_shift, float* out) {
  const float shift = negative_shift ? -kIq1Shift : kIq1Shift;
  for (size_t v = 0; v < 8; ++v) out[v] = static_cast<float>(kIq1Book[index][v]) + shift;
}

inline uint32_t iq1_nearest(const float* x, bool negative_shift, const float* weights,
                            float* cost_out) {
  float best_cost = std::numeric_limits<float>::infinity();
  uint32_t best = 0;
  for (uint32_t e = 0; e < kIq1Book.size(); ++e) {
    float levels[8];
    iq1_levels(e, negative_shift, levels);
    float cost = 0.0f;
    for (int v = 0; v < 8; ++v) cost += weights[v] * (levels[v] - 2.0f * x[v]) * levels[v];
    if (cost < best_cost) best_cost = cost, best = e;
  }
  *cost_out = best_cost;
  return best;
}

}  // namespace pare::lattice

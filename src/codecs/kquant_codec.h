// The faces of a codec from its layout. A layout is a struct that derives from EvenLevels or
// TableLevels, which say what its levels are, and has
//
//   kBlockLen, kBlockBytes
//   expand(params)                    scale and offset from d, dmin and the codes
//   unpack(in, params, levels)        d, dmin, codes and kBlockLen levels from one block
//   pack(params, levels, out)         the inverse
//   fit(x, importance, params)        as in Grid
//
// A column's code is its level, or the level's index in the table.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "base/half.h"
#include "codecs/codec.h"
#include "codecs/kquant.h"

namespace pare::kquant {

inline float load_half(const uint8_t* in) {
  uint16_t h;
  std::memcpy(&h, in, sizeof(h));
  return fp16_to_float(h);
}

inline void store_half(float v, uint8_t* out) {
  const uint16_t h = float_to_fp16(v);
  std::memcpy(out, &h, sizeof(h));
}

// 32 levels of four bits: byte i holds columns i (low half) and 16 + i.
inline void unpack_halves(const uint8_t* in, int8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<int8_t>(in[i] & 15);
    codes[16 + i] = static_cast<int8_t>(in[i] >> 4);
  }
}

inline void pack_halves(const int8_t* codes, uint8_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(codes[i] | (codes[16 + i] << 4));
}

template <int kMin, int kMax, int kGroup>
struct EvenLevels {
  static constexpr int kGroupLen = kGroup;
  static constexpr int kMinLevel = kMin;
  static constexpr int kMaxLevel = kMax;

  static int nearest(float y) {
    // Adding 1.5 * 2^23 leaves no bits for a fraction: rounds to nearest, ties to even. NaN gives
    // the highest level.
    const float inside = std::max(float{kMin}, std::min(float{kMax}, y));
    return static_cast<int>((inside + 0x1.8p23f) - 0x1.8p23f);
  }
  static float level(int32_t code) { return static_cast<float>(code); }
  static void round(const float* x, const SpanParams& params, int n, int8_t* codes) {
    round_levels(x, params, kGroup, kMin, kMax, n, codes);
  }
  static void apply(const int8_t* codes, const SpanParams& params, int n, float* out) {
    apply_levels(codes, params, kGroup, n, out);
  }
};

struct TableLevels {
  static constexpr int kGroupLen = 32;

  static int nearest(float y) {
    int code = 0;
    while (code < 15 && 2.0f * y > static_cast<float>(kTable[code] + kTable[code + 1])) ++code;
    return code;
  }
  static float level(int32_t code) { return static_cast<float>(kTable[code & 15]); }
  static void round(const float* x, const SpanParams& params, int n, int8_t* codes) {
    round_to_table(x, params, n, codes);
  }
  static void apply(const int8_t* codes, const SpanParams& params, int n, float* out) {
    std::array<int8_t, kTile> levels;
    std::transform(codes, codes + n, levels.begin(), [](int8_t c) { return kTable[c & 15]; });
    apply_levels(levels.data(), params, kGroupLen, n, out);
  }
};

template <class Layout>
class LayoutGrid final : public Grid {
 public:
  int fit_span() const override { return Layout::kBlockLen; }
  int group_len() const override { return Layout::kGroupLen; }
  int round_unit() const override { return 1; }

  void fit(const float* x, const float* importance, SpanParams* params) const override {
    Layout::fit(x, importance, params);
  }

  int32_t round(const SpanParams& params, int column, const float* x, const float*,
                float* value) const override {
    const size_t g = static_cast<size_t>(column / Layout::kGroupLen);
    // As the row encoder computes it, so that both round alike.
    const float inv = params.scale[g] == 0.0f ? 0.0f : 1.0f / params.scale[g];
    const int code = Layout::nearest((*x - params.offset[g]) * inv);
    values(params, column, code, value);
    return code;
  }

  void values(const SpanParams& params, int column, int32_t code, float* out) const override {
    const size_t g = static_cast<size_t>(column / Layout::kGroupLen);
    *out = params.scale[g] * Layout::level(code) + params.offset[g];
  }

  void pack(const SpanParams& params, const int32_t* codes, std::byte* out) const override {
    std::array<int8_t, Layout::kBlockLen> narrow;
    std::transform(codes, codes + Layout::kBlockLen, narrow.begin(),
                   [](int32_t c) { return static_cast<int8_t>(c); });
    Layout::pack(params, narrow.data(), reinterpret_cast<uint8_t*>(out));
  }

  void unpack(const std::byte* in, SpanParams* params, int32_t* codes) const override {
    std::array<int8_t, Layout::kBlockLen> narrow;
    Layout::unpack(reinterpret_cast<const uint8_t*>(in), params, narrow.data());
    Layout::expand(params);
    std::copy(narrow.begin(), narrow.end(), codes);
  }
};

template <class Layout>
void decode_row(const std::byte* in, float* out, int64_t n) {
  alignas(64) std::array<int8_t, Layout::kBlockLen> codes;
  SpanParams params;
  for (int64_t i = 0; i < n; i += Layout::kBlockLen, in += Layout::kBlockBytes) {
    Layout::unpack(reinterpret_cast<const uint8_t*>(in), &params, codes.data());
    Layout::expand(&params);
    Layout::apply(codes.data(), params, Layout::kBlockLen, out + i);
  }
}

template <class Layout>
void encode_row(const float* in, const float* importance, std::byte* out, int64_t n) {
  alignas(64) std::array<int8_t, Layout::kBlockLen> codes;
  SpanParams params;
  for (int64_t i = 0; i < n; i += Layout::kBlockLen, out += Layout::kBlockBytes) {
    Layout::fit(in + i, importance == nullptr ? nullptr : importance + i, &params);
    Layout::round(in + i, params, Layout::kBlockLen, codes.data());
    Layout::pack(params, codes.data(), reinterpret_cast<uint8_t*>(out));
  }
}

template <class Layout>
Codec make_codec(CodecId id, const char* name, int gguf_type, CodecId fallback, float error_bound) {
  static const LayoutGrid<Layout> grid;
  return {.id = id,
          .name = name,
          .block_len = Layout::kBlockLen,
          .block_bytes = Layout::kBlockBytes,
          .gguf_type = gguf_type,
          .fallback = fallback,
          .error_bound = error_bound,
          .grid = &grid,
          .decode_row = decode_row<Layout>,
          .encode_row = encode_row<Layout>};
}

}  // namespace pare::kquant

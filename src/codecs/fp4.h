// Block formats of E2M1 (FP4) values: MXFP4 and NVFP4. value = scale[g] * kFp4Levels[nibble];
// levels are doubled to be whole numbers, so scales are halved.
//
// As a Grid: fit_span = block_len, round_unit 1, code = the nibble (8 is the second zero),
// scale_code[g] = the stored byte of group g, scale[g] = what it stands for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "codecs/codec.h"

namespace pare {

inline constexpr std::array<int8_t, 16> kFp4Levels = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};

// A block: `scales` bytes first, then per group group_len / 2 bytes; byte j of a group holds
// column j (low nibble) and column j + group_len / 2.
struct Fp4Format {
  static constexpr int kMaxGroup = 32;
  int block_len;
  int block_bytes;
  int group_len;
  int max_scale_code;   // scales grow from code 0 to this one; encode uses only these
  int tries;            // how many codes encode tries ...
  const float* scales;  // what the 256 codes stand for
  int groups() const { return block_len / group_len; }
};

void decode_fp4(const Fp4Format& format, const std::byte* in, float* out, int64_t n);
void encode_fp4(const Fp4Format& format, const float* in, const float* importance, std::byte* out,
                int64_t n);

class Fp4Grid final : public Grid {
 public:
  explicit constexpr Fp4Grid(const Fp4Format& format) : format_(format) {}
  int fit_span() const override { return format_.block_len; }
  int group_len() const override { return format_.group_len; }
  int round_unit() const override { return 1; }
  void fit(const float* x, const float* importance, SpanParams* params) const override;
  int32_t round(const SpanParams& params, int column, const float* x, const float* importance,
                float* values) const override;
  void values(const SpanParams& params, int column, int32_t code, float* out) const override;
  void pack(const SpanParams& params, const int32_t* codes, std::byte* out) const override;
  void unpack(const std::byte* in, SpanParams* params, int32_t* codes) const override;

 private:
  const Fp4Format& format_;
};

// The table line of an FP4 format.
template <const Fp4Format& kFormat>
Codec fp4_codec(CodecId id, const char* name, int gguf_type, std::optional<CodecId> fallback,
                float error_bound) {
  static const Fp4Grid grid(kFormat);
  return {.id = id,
          .name = name,
          .block_len = kFormat.block_len,
          .block_bytes = kFormat.block_bytes,
          .gguf_type = gguf_type,
          .fallback = fallback,
          .error_bound = error_bound,
          .grid = &grid,
          .decode_row = [](const std::byte* in, float* out,
                           int64_t n) { decode_fp4(kFormat, in, out, n); },
          .encode_row = [](const float* in, const float* importance, std::byte* out,
                           int64_t n) { encode_fp4(kFormat, in, importance, out, n); }};
}

}  // namespace pare

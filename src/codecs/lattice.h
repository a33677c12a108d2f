// Lattice formats (IQ1, IQ2, IQ3): eight columns are rounded together to an entry of a
// codebook, with signs. value = scale[g] * level, g = column / group_len; 256 columns a block.
//
// As a Grid: fit_span 256, round_unit 8. scale_code[g] is the stored scale, offset_code[g] the
// sign of the group's shift (IQ1_S only), d the f16 super-scale. A unit's code is, from the
// lowest bit,
//   IQ2_*   grid index (16 bits), sign byte (8 bits; bit i set: column i is negative)
//   IQ3_*   grid index of columns 0-3 (9 bits), of columns 4-7 (9 bits), sign byte (8 bits)
//   IQ1_*   grid index (11 bits), sign of the shift (1 bit; IQ1_M only)
// IQ2_XXS, IQ2_XS and IQ3_XXS do not store the sign of column 7: it makes their number even.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codecs/codec.h"

namespace pare {

struct LatticeFormat {
  static constexpr int kBlockLen = 256;
  static constexpr int kUnit = 8;
  static constexpr int kUnits = kBlockLen / kUnit;

  int block_bytes;
  int group_len;
  int scale_codes;     // stored scales are 0 .. scale_codes - 1
  float scale_offset;  // scale = d * (scale_offset + code) * scale_factor
  float scale_factor;
  float max_level;  // the largest magnitude among the levels
  bool has_shift;   // groups choose the sign of a shift (offset_code 0 or 1)
  // The eight levels of a code; shift: the group's offset_code.
  void (*levels)(int32_t code, int shift, float* out);
  // The code whose levels are nearest to x[8] under the weights.
  int32_t (*nearest)(const float* x, int shift, const float* weights);
  // Bytes <-> d, scale_code, offset_code and the codes; load() leaves scale[] to the caller.
  void (*load)(const std::byte* in, SpanParams* params, int32_t* codes);
  void (*store)(const SpanParams& params, const int32_t* codes, std::byte* out);
};

void decode_lattice(const LatticeFormat& format, const std::byte* in, float* out, int64_t n);

class LatticeGrid final : public Grid {
 public:
  explicit constexpr LatticeGrid(const LatticeFormat& format) : format_(format) {}
  int fit_span() const override { return LatticeFormat::kBlockLen; }
  int group_len() const override { return format_.group_len; }
  int round_unit() const override { return LatticeFormat::kUnit; }
  void fit(const float* x, const float* importance, SpanParams* params) const override;
  int32_t round(const SpanParams& params, int column, const float* x, const float* importance,
                float* values) const override;
  void values(const SpanParams& params, int column, int32_t code, float* out) const override;
  void pack(const SpanParams& params, const int32_t* codes, std::byte* out) const override;
  void unpack(const std::byte* in, SpanParams* params, int32_t* codes) const override;

 private:
  const LatticeFormat& format_;
};

// The table line of a lattice format: decoded, and encoded through its grid only.
template <const LatticeFormat& kFormat>
Codec lattice_codec(CodecId id, const char* name, int gguf_type, float error_bound) {
  static const LatticeGrid grid(kFormat);
  return {.id = id,
          .name = name,
          .block_len = LatticeFormat::kBlockLen,
          .block_bytes = kFormat.block_bytes,
          .gguf_type = gguf_type,
          .fallback = CodecId::kIQ4_NL,
          .error_bound = error_bound,
          .grid = &grid,
          .decode_row = [](const std::byte* in, float* out,
                           int64_t n) { decode_lattice(kFormat, in, out, n); },
          .encode_row = nullptr};
}

}  // namespace pare

// Uniform scalar formats: value = d * level, or d * level + m, one d (and m) per block and a
// level per column. Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TQ1_0, TQ2_0, Q1_0 and Q2_0 are such
// formats and share everything but their bytes: a format says how a block is laid out, and
// the rest (row face, grid) follows from here.
//
// As a Grid: fit_span = group_len = block_len, round_unit 1, code = level,
// scale[0] = d, offset[0] = m; d and dmin hold the same numbers, which pack() stores as f16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codecs/codec.h"

namespace pare {

// One block, unpacked.
struct UniformBlock {
  static constexpr int kMaxLen = 256;
  float d = 0.0f;
  float m = 0.0f;  // 0 where the format has no offset
  int8_t levels[kMaxLen];
};

// How the parameters of a block are found.
enum class UniformFit {
  kAbsMax,     // d = max |x| / high: no search (Q8_0, where clipping never pays)
  kSymmetric,  // search over d of either sign
  kAffine,     // search over d > 0 and m
  kSigns,      // levels -1 and +1 only: d = weighted mean of |x|, in closed form
};

// What the search tries: levels are t * scale + shift, rounded, where t is the block divided by
// its largest weight (symmetric) or mapped from its range to [0, 1] (affine).
struct Candidates {
  static constexpr int kMost = 16;
  float scale[kMost];
  float shift[kMost];
  int count = kMost;  // a multiple of 8; those behind are zeros
};

struct UniformFormat {
  int block_len;
  int block_bytes;
  int low, high;  // levels that encode uses; load() may give others
  UniformFit fit;
  const Candidates* candidates;  // null without a search
  const Candidates* unweighted;  // where all columns matter the same; null: the others
  int kept;                      // so many candidates, the best after one refit, are refitted
  int refits;                    // so many times again
  void (*load)(const std::byte* in, UniformBlock* block);
  void (*store)(const UniformBlock& block, std::byte* out);
};

void decode_uniform(const UniformFormat& format, const std::byte* in, float* out, int64_t n);
void encode_uniform(const UniformFormat& format, const float* in, const float* importance,
                    std::byte* out, int64_t n);

class UniformGrid final : public Grid {
 public:
  explicit constexpr UniformGrid(const UniformFormat& format) : format_(format) {}
  int fit_span() const override { return format_.block_len; }
  int group_len() const override { return format_.block_len; }
  int round_unit() const override { return 1; }
  void fit(const float* x, const float* importance, SpanParams* params) const override;
  int32_t round(const SpanParams& params, int column, const float* x, const float* importance,
                float* values) const override;
  void values(const SpanParams& params, int column, int32_t code, float* out) const override;
  void pack(const SpanParams& params, const int32_t* codes, std::byte* out) const override;
  void unpack(const std::byte* in, SpanParams* params, int32_t* codes) const override;

 private:
  const UniformFormat& format_;
};

// The table line of a uniform format.
template <const UniformFormat& kFormat>
Codec uniform_codec(CodecId id, const char* name, int gguf_type, std::optional<CodecId> fallback,
                    float error_bound) {
  static const UniformGrid grid(kFormat);
  return {.id = id,
          .name = name,
          .block_len = kFormat.block_len,
          .block_bytes = kFormat.block_bytes,
          .gguf_type = gguf_type,
          .fallback = fallback,
          .error_bound = error_bound,
          .grid = &grid,
          .decode_row = [](const std::byte* in, float* out,
                           int64_t n) { decode_uniform(kFormat, in, out, n); },
          .encode_row = [](const float* in, const float* importance, std::byte* out,
                           int64_t n) { encode_uniform(kFormat, in, importance, out, n); }};
}

}  // namespace pare

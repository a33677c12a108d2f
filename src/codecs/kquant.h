// The K-quants and their 4-bit relatives: what Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL and IQ4_XS
// share. Their super-blocks hold 256 columns in groups of 16 or 32; a group's scale (and minimum)
// is a small integer times the super-block's f16 d (and dmin).
//
// The encoder minimises sum w * (x - value)^2, w the importance given, over everything that is
// stored: levels, integer scales and minima, d and dmin as f16. Each group is first fitted on its
// own (many start grids, levels by rounding, scale and minimum by weighted least squares); then
// d and dmin are scanned; then integers, d and levels are fitted in turns, and every state is
// judged by the error of what would be stored. Work is laid out as a 16 x 16 tile, one lane per
// run of 16 columns, so that no reduction runs across lanes.
//
// Results are the same on every SIMD target: only +, -, *, /, comparisons and rounding are used,
// never a fused multiply-add, always in the same order.
//
// x is finite. Weights are >= 0 and finite; zero weights count as 2^-24 of the largest, all zero
// as all one. All functions are pure and thread safe.
#pragma once

#include <array>
#include <cstdint>

#include "codecs/codec.h"

namespace pare::kquant {

constexpr int kTile = 256;  // columns that the kernels work on at once

// value = d * scale_code * level - dmin * offset_code, level in [0, max_level], codes in
// [0, max_code].
struct AffineFormat {
  int group_len;  // 16 or 32
  int max_level;
  int max_code;
};

// value = d * scale_code * level, level in [min_level, -min_level - 1], scale_code in
// [min_code, -min_code - 1].
struct SymmetricFormat {
  int group_len;
  int min_level;
  int min_code;
};

// Fit d, dmin and the codes to 256 columns; `importance` may be null (all ones). Sets all
// fields of params.
void fit_affine(const AffineFormat& format, const float* x, const float* importance,
                SpanParams* params);
void fit_symmetric(const SymmetricFormat& format, const float* x, const float* importance,
                   SpanParams* params);

// value = d * scale_code * table level, for IQ4_XS: groups of 32, scale codes in [-32, 31].
void fit_table(const float* x, const float* importance, SpanParams* params);
// value = d * table level, for IQ4_NL: n / 32 <= 8 blocks of 32 columns, one d for each.
void fit_table_blocks(const float* x, const float* importance, int n, float* d);

// IQ4_NL's levels.
constexpr std::array<int8_t, 16> kTable = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

// Sets scale and offset from d, dmin and the codes, in the order of operations that readers of
// these formats use. Without minima the offset is -0, which leaves every value as it is.
void expand_affine(int groups, SpanParams* params);
void expand_symmetric(int groups, SpanParams* params);

// levels[i] = the level nearest to (x[i] - offset[g]) / scale[g] in [min_level, max_level],
// g = i / group_len; 0 (or the level nearest to it) where scale[g] is 0. n is a multiple of 16.
void round_levels(const float* x, const SpanParams& params, int group_len, int min_level,
                  int max_level, int n, int8_t* levels);
// The same for levels from the table; gives their index. Groups of 32; scale[g] 0 gives index 8.
void round_to_table(const float* x, const SpanParams& params, int n, int8_t* index);
// out[i] = scale[g] * level[i] + offset[g]. n is a multiple of 16.
void apply_levels(const int8_t* levels, const SpanParams& params, int group_len, int n, float* out);

}  // namespace pare::kquant

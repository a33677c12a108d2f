// The search for the scales of FP4 blocks, and rounding to FP4 levels.
#pragma once

#include "codecs/fp4.h"

namespace pare {

// The scale code under which x[group_len], rounded to the nearest levels, has the least
// weighted squared error (importance null: all ones), among format.tries codes downwards from
// the one at which the largest weight would meet level 4 of 12. No other can win by much: a
// larger scale wastes half of the levels, a smaller one clips the largest weight to less than
// its 0.7-fold.
int fit_fp4_scale(const Fp4Format& format, const float* x, const float* importance);

// The nearest nibbles under a scale > 0; 0 where the scale is 0 or x is NaN. n is a multiple
// of 16.
void round_fp4(const float* x, int n, float scale, uint8_t* codes);

}  // namespace pare

// The search for the scales of FP4 blocks, and rounding to FP4 levels.
#pragma once

#include "codecs/fp4.h"

namespace pare {

// The scale code under which x[group_len], rounded to the nearest levels, has the least
// weighted squared error (importance null: all ones), among format.tries codes downwards from
// the least scale at which the largest weight is at most 7 steps (of 12). Below 7 steps the
// levels that are used lie evenly, and half the scale has them all and more; among the lowest
// codes, too few to have the half of each, all are tried.
int fit_fp4_scale(const Fp4Format& format, const float* x, const float* importance);

// The nearest nibbles under a scale > 0; 0 where the scale is 0 or x is NaN. n is a multiple
// of 16.
void round_fp4(const float* x, int n, float scale, uint8_t* codes);

}  // namespace pare

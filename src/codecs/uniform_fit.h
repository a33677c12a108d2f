// The search for the parameters of uniform formats' blocks.
//
// For every block, candidate scales (and shifts) are tried on the block normalised by its
// largest weight or by its range; each is rated by the weighted squared error left after the
// exact least-squares refit of d (and m) to its levels, and improved by alternating
// rounding and refitting (Lloyd). Candidates are tried one per SIMD lane, so results do not
// depend on the width of the vectors.
#pragma once

#include "codecs/uniform.h"

namespace pare {

// x and importance (null: all ones) hold blocks * format.block_len columns. Gives d, m, both
// already rounded to f16 and finite, and the nearest levels. Weights count relative to each
// other; a block whose weights are all zero is fitted as if all were one. Values beyond what
// f16 parameters reach saturate; NaN counts as 0.
void fit_uniform(const UniformFormat& format, const float* x, const float* importance, int blocks,
                 UniformBlock* out);

// The nearest level to x under d and m.
int nearest_level(const UniformFormat& format, float d, float m, float x);

}  // namespace pare

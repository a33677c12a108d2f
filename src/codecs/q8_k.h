// Q8_K: 256 columns in 292 bytes: f32 d, 256 int8, 16 int16 sums of 16 levels each.
// Runtimes quantize activations to it; it holds no weights, so it is decoded only.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q8_k_codec();

}  // namespace pare

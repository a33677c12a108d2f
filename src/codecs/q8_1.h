// Q8_1: 32 columns in 36 bytes: f16 d, f16 d * sum of the levels, 32 int8. Runtimes quantize
// activations to it; it holds no weights, so it is decoded only.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q8_1_codec();

}  // namespace pare

// TQ2_0: 256 ternary columns in 66 bytes: 64 bytes of four 2-bit codes, f16 d;
// value = d * (code - 1). Code 3 decodes to 2 d; encode writes ternary codes only, so that a
// TQ2_0 row is also a TQ1_0 row.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec tq2_0_codec();

}  // namespace pare

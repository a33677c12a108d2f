// Q4_1: 32 columns in 20 bytes: f16 d, f16 m, 16 bytes of nibbles; value = d * nibble + m.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q4_1_codec();

}  // namespace pare

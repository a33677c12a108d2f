// Q4_0: 32 columns in 18 bytes: f16 d, 16 bytes of nibbles; value = d * (nibble - 8).
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q4_0_codec();

}  // namespace pare

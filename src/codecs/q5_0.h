// Q5_0: 32 columns in 22 bytes: f16 d, 4 bytes of fifth bits, 16 bytes of nibbles;
// value = d * (code - 16).
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q5_0_codec();

}  // namespace pare

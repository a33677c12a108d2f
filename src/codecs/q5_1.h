// Q5_1: 32 columns in 24 bytes: f16 d, f16 m, 4 bytes of fifth bits, 16 bytes of nibbles;
// value = d * code + m.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q5_1_codec();

}  // namespace pare

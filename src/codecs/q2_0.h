// Q2_0: 64 columns in 18 bytes: f16 d, 16 bytes of four 2-bit codes in column order;
// value = d * (code - 1), that is -d, 0, d or 2 d; a negative d turns the long side down.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q2_0_codec();

}  // namespace pare

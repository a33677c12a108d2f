// Q8_0: 32 columns in 34 bytes: f16 d, 32 int8; value = d * int8.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q8_0_codec();

}  // namespace pare

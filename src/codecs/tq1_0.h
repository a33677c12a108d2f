// TQ1_0: 256 ternary columns in 54 bytes: 48 bytes of five trits, 4 bytes of four, f16 d.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec tq1_0_codec();

}  // namespace pare

// IQ1_S: 256 columns in 50 bytes: f16 d, 32 bytes of grid indices, 8 uint16 (high index bits,
// scale, sign of the shift).
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq1_s_codec();

}  // namespace pare

// IQ2_S: 256 columns in 82 bytes: f16 d; 32 bytes of grid indices, 32 of signs, 8 of high index
// bits, 8 of scales.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq2_s_codec();

}  // namespace pare

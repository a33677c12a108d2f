// IQ2_XS: 256 columns in 74 bytes: f16 d; 32 uint16 of 9-bit grid index and 7-bit sign index;
// 8 bytes of scales.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq2_xs_codec();

}  // namespace pare

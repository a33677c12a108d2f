// IQ3_S: 256 columns in 110 bytes: f16 d; 64 bytes of grid indices, 8 of high index bits, 32 of
// signs, 4 of scales.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq3_s_codec();

}  // namespace pare

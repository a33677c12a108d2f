// IQ1_M: 256 columns in 56 bytes: 32 bytes of grid indices, 16 bytes of high index bits and
// shift signs, 8 bytes of scales; f16 d is spread over the top bits of the scales.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq1_m_codec();

}  // namespace pare

// IQ4_XS: 256 columns in 136 bytes; IQ4_NL's levels; per 32 columns a signed 6-bit scale.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq4_xs_codec();

}  // namespace pare

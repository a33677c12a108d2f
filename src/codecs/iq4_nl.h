// IQ4_NL: 32 columns in 18 bytes; levels from a table of 16; one f16 scale.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq4_nl_codec();

}  // namespace pare

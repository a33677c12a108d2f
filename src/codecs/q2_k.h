// Q2_K: 256 columns in 84 bytes; levels 0..3; per 16 columns a 4-bit scale and a 4-bit minimum.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q2_k_codec();

}  // namespace pare

// Q5_K: 256 columns in 176 bytes; levels 0..31; per 32 columns a 6-bit scale and minimum.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q5_k_codec();

}  // namespace pare

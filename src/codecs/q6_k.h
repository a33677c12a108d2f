// Q6_K: 256 columns in 210 bytes; levels -32..31; per 16 columns a signed 8-bit scale.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q6_k_codec();

}  // namespace pare

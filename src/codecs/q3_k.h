// Q3_K: 256 columns in 110 bytes; levels -4..3; per 16 columns a signed 6-bit scale.
// The encoder is described in kquant.h, the face that all such formats share in kquant_codec.h.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q3_k_codec();

}  // namespace pare

// IQ2_XXS: 256 columns in 66 bytes: f16 d; per 32 columns 4 grid indices, then 4 sign indices of
// 7 bits and a scale of 4.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq2_xxs_codec();

}  // namespace pare

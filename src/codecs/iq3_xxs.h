// IQ3_XXS: 256 columns in 98 bytes: f16 d; 64 bytes of grid indices; per 32 columns 4 sign indices
// of 7 bits and a scale of 4.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec iq3_xxs_codec();

}  // namespace pare

// Q1_0: 128 signs in 18 bytes: f16 d, 16 bytes; value = bit ? d : -d.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec q1_0_codec();

}  // namespace pare

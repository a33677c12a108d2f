// NVFP4: 64 columns in 36 bytes: 4 UE4M3 scales of 16 columns each, 32 bytes of E2M1 nibbles.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec nvfp4_codec();

}  // namespace pare

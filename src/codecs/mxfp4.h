// MXFP4: 32 columns in 17 bytes: E8M0 scale, 16 bytes of E2M1 nibbles (OCP Microscaling
// Formats 1.0).
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec mxfp4_codec();

}  // namespace pare

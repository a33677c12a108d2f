// The formats without blocks: floating point (encoded too) and integers (decoded only).
// Encoding rounds to nearest, ties to even; NaN stays NaN. No grid: there is nothing to fit.
#pragma once

#include "codecs/codec.h"

namespace pare {

Codec f32_codec();
Codec f16_codec();
Codec bf16_codec();
Codec f64_codec();
Codec i8_codec();
Codec i16_codec();
Codec i32_codec();
Codec i64_codec();

}  // namespace pare

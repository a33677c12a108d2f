// What the two halves of the core for AVX2 share.
#pragma once

#include "kernels/core.h"

namespace pare {

// Core::few: rows that were unpacked, for codecs without a Dot.
Core::Few avx2_few(const PlanarForm& form);

}  // namespace pare

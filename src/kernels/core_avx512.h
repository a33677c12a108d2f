// What the parts of the core for AVX-512 share.
#pragma once

#include "kernels/core.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#define PARE_AVX512_TARGET "avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define PARE_INLINE static inline __attribute__((always_inline))

namespace pare {

// Core::few: rows that were unpacked, for codecs without a Dot.
Core::Few avx512_few(const PlanarForm& form);

}  // namespace pare

#endif  // __x86_64__

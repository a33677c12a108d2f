// Products of quantized rows with few tokens for AVX2.
#include "kernels/dot.h"

#if defined(__x86_64__)

#define PARE_SPAN_TARGET "avx2,bmi,bmi2,fma,f16c"
#include "kernels/span_blocks_avx2.h"
#include "kernels/span_lattice_avx2.h"
#include "kernels/span_products_avx2.h"
#include "kernels/span_small_avx2.h"

namespace pare {

std::span<const Dot> avx2_dots() {
  return span::dots2(span::Blocks() + span::BlocksOfCodes() + span::Small() + span::Lattices() +
                     span::LatticesOfCodes());
}

}  // namespace pare

#endif  // __x86_64__

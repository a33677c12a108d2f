// Products of quantized rows with few tokens for AVX-VNNI, where it is of use: integers as scales
// of 16 columns are factors of 16-bit products, which it does not make.
#include "kernels/dot.h"

#if defined(__x86_64__)

#define PARE_SPAN_TARGET "avx2,bmi,bmi2,fma,f16c,avxvnni"
#define PARE_DPBUSD _mm256_dpbusd_avx_epi32
#include "kernels/span_blocks_avx2.h"
#include "kernels/span_lattice_avx2.h"
#include "kernels/span_products_avx2.h"
#include "kernels/span_small_avx2.h"

namespace pare {

std::span<const Dot> avx_vnni_dots() {
  return span::dots2(span::Blocks() + span::Small() + span::Lattices());
}

}  // namespace pare

#endif  // __x86_64__

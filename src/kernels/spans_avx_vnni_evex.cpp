// The same as spans_avx_vnni.cpp, by instructions of AVX-512 (core_avx_vnni_evex.cpp).
#include "kernels/dot.h"

#if defined(__x86_64__)

#define PARE_SPAN_TARGET "avx2,bmi,bmi2,fma,f16c,avx512f,avx512vl,avx512vnni"
#define PARE_DPBUSD _mm256_dpbusd_epi32
#include "kernels/span_blocks_avx2.h"
#include "kernels/span_lattice_avx2.h"
#include "kernels/span_products_avx2.h"
#include "kernels/span_small_avx2.h"

namespace pare {

std::span<const Dot> avx_vnni_evex_dots() {
  return span::dots2(span::Blocks() + span::Small() + span::Lattices());
}

}  // namespace pare

#endif  // __x86_64__

// AVX-VNNI on CPUs that have the same instructions from AVX-512 only, where the level is one to
// compare and to test.
#define PARE_MANY_TARGET "avx,avx2,bmi,bmi2,fma,f16c,avx512f,avx512vl,avx512vnni"
#define PARE_DPBUSD _mm256_dpbusd_epi32
#define PARE_DPWSSD _mm256_dpwssd_epi32
#include "kernels/avx_vnni.h"

#if defined(__x86_64__)

namespace pare {

const Core& avx_vnni_evex_core() {
  static const Core core = avx2::vnni_core();
  return core;
}

}  // namespace pare

#endif  // __x86_64__

// AVX-VNNI as client CPUs have it.
#define PARE_MANY_TARGET "avx,avx2,bmi,bmi2,fma,f16c,avxvnni"
#define PARE_DPBUSD _mm256_dpbusd_avx_epi32
#define PARE_DPWSSD _mm256_dpwssd_avx_epi32
#include "kernels/avx_vnni.h"

#if defined(__x86_64__)

namespace pare {

const Core& avx_vnni_core() {
  static const Core core = avx2::vnni_core();
  return core;
}

}  // namespace pare

#endif  // __x86_64__

#include "kernels/core.h"

namespace pare {

const Core& core(CpuLevel level) {
#if defined(__x86_64__)
  if (level == CpuLevel::kAmx) return amx_core();
  if (level == CpuLevel::kAvx512) return avx512_core();
  if (level == CpuLevel::kAvxVnni) {
    return cpu_has(CpuFeature::kAvxVnni) ? avx_vnni_core() : avx_vnni_evex_core();
  }
  if (level == CpuLevel::kAvx2) return avx2_core();
#elif defined(__aarch64__)
  if (level == CpuLevel::kNeon) return neon_core();
#endif
  (void)level;
  return ref_core();
}

}  // namespace pare

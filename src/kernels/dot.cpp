#include "kernels/dot.h"

#include <algorithm>

namespace pare {

const Dot* find_dot(CpuLevel level, CodecId codec) {
#if defined(__x86_64__)
  using Family = std::span<const Dot>;
  const bool avx512 = uses(level, CpuLevel::kAvx512);
  const bool vbmi = avx512 && cpu_has(CpuFeature::kVbmi);
  const bool avx2 = uses(level, CpuLevel::kAvx2);
  for (const Family& family : {avx512 ? avx512_dots() : Family(), vbmi ? vbmi_dots() : Family(),
                               avx2 ? avx2_dots() : Family(), avx2 ? avx2_lattice_dots() : Family(),
                               avx2 ? avx2_small_dots() : Family()}) {
    const auto found = std::ranges::find(family, codec, &Dot::codec);
    if (found != family.end()) return &*found;
  }
#endif
  (void)level, (void)codec;
  return nullptr;
}

}  // namespace pare

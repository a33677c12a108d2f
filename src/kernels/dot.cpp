#include "kernels/dot.h"

#include <algorithm>
#include <vector>

namespace pare {

const Dot* find_dot(CpuLevel level, CodecId codec) {
#if defined(__x86_64__)
  std::vector<std::span<const Dot>> families;  // best first
  if (uses(level, CpuLevel::kAvx512)) {
    families = {avx512_dots()};
    if (cpu_has(CpuFeature::kVbmi)) families.push_back(vbmi_dots());
  }
  if (level == CpuLevel::kAvxVnni) {
    families = {cpu_has(CpuFeature::kAvxVnni) ? avx_vnni_dots() : avx_vnni_evex_dots()};
  }
  if (uses(level, CpuLevel::kAvx2)) families.push_back(avx2_dots());
  for (const std::span<const Dot> family : families) {
    const auto found = std::ranges::find(family, codec, &Dot::codec);
    if (found != family.end()) return &*found;
  }
#endif
  (void)level, (void)codec;
  return nullptr;
}

}  // namespace pare

#include "kernels/dot.h"

#include <algorithm>

namespace pare {

#if defined(__x86_64__)

namespace {

const Dot* find(std::span<const Dot> family, CodecId codec) {
  const auto found = std::ranges::find(family, codec, &Dot::codec);
  return found == family.end() ? nullptr : &*found;
}

}  // namespace

const Dot* find_dot(CpuLevel level, CodecId codec) {
  if (uses(level, CpuLevel::kAvx512)) {
    if (const Dot* found = find(avx512_dots(), codec)) return found;
    return cpu_has(CpuFeature::kVbmi) ? find(vbmi_dots(), codec) : nullptr;
  }
  if (level == CpuLevel::kAvxVnni) {
    const bool own = cpu_has(CpuFeature::kAvxVnni);
    if (const Dot* found = find(own ? avx_vnni_dots() : avx_vnni_evex_dots(), codec)) return found;
  }
  return uses(level, CpuLevel::kAvx2) ? find(avx2_dots(), codec) : nullptr;
}

#else

const Dot* find_dot(CpuLevel, CodecId) { return nullptr; }

#endif

}  // namespace pare

#include "kernels/dot.h"

#include <algorithm>

namespace pare {

const Dot* find_dot(CpuLevel level, CodecId codec) {
#if defined(__x86_64__)
  if (level != CpuLevel::kAvx512 && level != CpuLevel::kAmx) return nullptr;
  for (const auto& family :
       {avx512_dots(), cpu_has(CpuFeature::kVbmi) ? vbmi_dots() : std::span<const Dot>()}) {
    const auto found = std::ranges::find(family, codec, &Dot::codec);
    if (found != family.end()) return &*found;
  }
#endif
  (void)level, (void)codec;
  return nullptr;
}

}  // namespace pare

#include "kernels/unpack.h"

#include <algorithm>

namespace pare {
namespace {

const Unpacker* find(std::span<const Unpacker> family, CodecId codec) {
  const auto found = std::ranges::find(family, codec, &Unpacker::codec);
  return found == family.end() ? nullptr : &*found;
}

}  // namespace

const Unpacker* find_unpacker(CpuLevel level, CodecId codec) {
#if defined(__x86_64__)
  if (uses(level, CpuLevel::kAvx512)) {
    if (const Unpacker* found = find(avx512_unpackers(), codec)) return found;
    if (cpu_has(CpuFeature::kVbmi)) {
      if (const Unpacker* found = find(vbmi_unpackers(), codec)) return found;
    }
  }
#endif
  for (const auto& family : {legacy_unpackers(level), k_unpackers(level), lattice_unpackers(level),
                             small_unpackers(level), ref_unpackers()}) {
    if (const Unpacker* found = find(family, codec)) return found;
  }
  return nullptr;
}

}  // namespace pare

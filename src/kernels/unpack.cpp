#include "kernels/unpack.h"

#include <algorithm>

namespace pare {

const Unpacker* find_unpacker(CpuLevel level, CodecId codec) {
  for (const auto& family : {avx512_unpackers(level), legacy_unpackers(level), k_unpackers(level),
                             lattice_unpackers(level), small_unpackers(level), ref_unpackers()}) {
    const auto found = std::find_if(family.begin(), family.end(),
                                    [&](const Unpacker& u) { return u.codec == codec; });
    if (found != family.end()) return &*found;
  }
  return nullptr;
}

}  // namespace pare

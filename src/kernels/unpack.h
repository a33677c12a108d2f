// Which function unpacks a codec on a CPU level.
#pragma once

#include <span>

#include "kernels/cpu.h"
#include "kernels/planar.h"

namespace pare {

// Null: the codec is not a quantized format. Every level has an unpacker for every such codec.
const Unpacker* find_unpacker(CpuLevel level, CodecId codec);

// The families that they come from, best first, each empty on levels that it is not for.
std::span<const Unpacker> legacy_unpackers(CpuLevel level);
std::span<const Unpacker> k_unpackers(CpuLevel level);
std::span<const Unpacker> lattice_unpackers(CpuLevel level);
std::span<const Unpacker> small_unpackers(CpuLevel level);
std::span<const Unpacker> ref_unpackers();

// Those of spans; x86-64 only.
std::span<const Unpacker> avx512_unpackers();  // level kAvx512
std::span<const Unpacker> vbmi_unpackers();    // the same, and CpuFeature::kVbmi

}  // namespace pare

// Defines name(level) from the name() of each SIMD target.
#if defined(__aarch64__)
#define PARE_CHOOSE_UNPACKERS(name)                      \
  std::span<const Unpacker> name(CpuLevel level) {       \
    if (level == CpuLevel::kNeon) return N_NEON::name(); \
    return {};                                           \
  }
#elif defined(__x86_64__)
#define PARE_CHOOSE_UNPACKERS(name)                            \
  std::span<const Unpacker> name(CpuLevel level) {             \
    if (uses(level, CpuLevel::kAvx512)) return N_AVX3::name(); \
    if (uses(level, CpuLevel::kAvx2)) return N_AVX2::name();   \
    return {};                                                 \
  }
#else
#define PARE_CHOOSE_UNPACKERS(name) \
  std::span<const Unpacker> name(CpuLevel) { return {}; }
#endif

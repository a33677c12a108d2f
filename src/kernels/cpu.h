// What the CPU can do, as levels of kernels: each level is a set of instructions that kernels
// are written for.
#pragma once

#include <span>
#include <string_view>

namespace pare {

enum class CpuLevel {
  kRef,      // plain C++
  kAvx2,     // AVX2, FMA, F16C, BMI2
  kAvxVnni,  // kAvx2, and products of bytes that are added in 32 bits
  kAvx512,   // AVX-512 F, BW, DQ, VL, VNNI
  kAmx,      // kAvx512, its products of bfloat16, and AMX tiles of them
  kNeon,     // AArch64 with dot products
};

const char* cpu_level_name(CpuLevel level);  // "ref", "avx2", ..., as PARE_CPU names them

// Whether kernels written for `other` are those of `level`: it is the same, or adds to it. (kAvx512
// has its own throughout.)
constexpr bool uses(CpuLevel level, CpuLevel other) {
  return level == other || (level == CpuLevel::kAvxVnni && other == CpuLevel::kAvx2) ||
         (level == CpuLevel::kAmx && other == CpuLevel::kAvx512);
}

// Levels that this CPU and its operating system can run, best first, kRef last.
std::span<const CpuLevel> cpu_levels();

// The level that kernels are chosen for: the best, or what the environment variable PARE_CPU
// names if this CPU can run it.
CpuLevel cpu_level();

// What only some CPUs of a level have.
enum class CpuFeature {
  kVbmi,     // kAvx512: permutations of bytes
  kAvxVnni,  // kAvxVnni: its instructions as such; without, as those of AVX-512 on short registers
};
bool cpu_has(CpuFeature feature);

// Forces a level that this CPU can run, for tests and benchmarks: not thread safe beside running
// kernels, and activations that were assigned before must be assigned again.
void force_cpu_level(CpuLevel level);

}  // namespace pare

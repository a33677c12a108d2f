#include "kernels/cpu.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/check.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace pare {
namespace {

#if defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (leaf <= static_cast<uint32_t>(__get_cpuid_max(0, nullptr))) {
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  }
  return r;
}

bool has(uint32_t word, std::initializer_list<int> bits) {
  return std::all_of(bits.begin(), bits.end(), [&](int bit) { return (word >> bit & 1u) != 0; });
}

// The register states that the operating system saves (XCR0); 0 if it says nothing.
uint64_t saved_states() {
  if (!has(cpuid(1, 0).ecx, {27})) return 0;
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Asks the system for the registers of tiles, which it gives to a process only so: without, the
// first tile instruction is the process's last.
bool tiles_granted() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

std::vector<CpuLevel> detect() {
  std::vector<CpuLevel> levels = {CpuLevel::kRef};
  const auto add = [&](CpuLevel level) { levels.insert(levels.begin(), level); };
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;
  const uint64_t states = saved_states();
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0);
  const bool avx2 = (states & kYmm) == kYmm &&
                    has(one.ecx, {1, 12, 25, 28, 29}) &&  // CLMUL, FMA, AES, AVX, F16C
                    has(seven.ebx, {3, 5, 8});            // BMI, AVX2, BMI2
  if (!avx2) return levels;
  add(CpuLevel::kAvx2);
  const bool avx512 = (states & kZmm) == kZmm &&
                      has(seven.ebx, {16, 17, 28, 30, 31}) &&  // F, DQ, CD, BW, VL
                      has(seven.ecx, {11});                    // VNNI
  if (avx512 || cpu_has(CpuFeature::kAvxVnni)) add(CpuLevel::kAvxVnni);
  if (!avx512) return levels;
  add(CpuLevel::kAvx512);
  const bool amx = (states & kTiles) == kTiles && has(seven.edx, {22, 24}) &&  // AMX-BF16, AMX-TILE
                   has(cpuid(7, 1).eax, {5}) &&                                // AVX512_BF16
                   tiles_granted();
  if (amx) add(CpuLevel::kAmx);
  return levels;
}

#elif defined(__aarch64__) && defined(__linux__)

std::vector<CpuLevel> detect() {
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) return {CpuLevel::kRef};
  return {CpuLevel::kNeon, CpuLevel::kRef};
}

#else

std::vector<CpuLevel> detect() { return {CpuLevel::kRef}; }

#endif

CpuLevel initial() {
  if (const char* wanted = std::getenv("PARE_CPU"); wanted != nullptr) {
    for (CpuLevel level : cpu_levels()) {
      if (std::string_view(wanted) == cpu_level_name(level)) return level;
    }
  }
  return cpu_levels().front();
}

std::atomic<CpuLevel>& chosen() {
  static std::atomic<CpuLevel> level = initial();
  return level;
}

}  // namespace

const char* cpu_level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::kRef:
      return "ref";
    case CpuLevel::kAvx2:
      return "avx2";
    case CpuLevel::kAvxVnni:
      return "avxvnni";
    case CpuLevel::kAvx512:
      return "avx512";
    case CpuLevel::kAmx:
      return "amx";
    case CpuLevel::kNeon:
      return "neon";
  }
  return "";
}

std::span<const CpuLevel> cpu_levels() {
  static const std::vector<CpuLevel> levels = detect();
  return levels;
}

bool cpu_has(CpuFeature feature) {
#if defined(__x86_64__)
  static const bool vbmi = has(cpuid(7, 0).ecx, {1}), avx_vnni = has(cpuid(7, 1).eax, {4});
  return feature == CpuFeature::kVbmi ? vbmi : avx_vnni;
#else
  (void)feature;
  return false;
#endif
}

CpuLevel cpu_level() { return chosen().load(std::memory_order_relaxed); }

void force_cpu_level(CpuLevel level) {
  const auto levels = cpu_levels();
  PARE_CHECK(std::find(levels.begin(), levels.end(), level) != levels.end(),
             "this CPU cannot run the level");
  chosen().store(level, std::memory_order_relaxed);
}

}  // namespace pare

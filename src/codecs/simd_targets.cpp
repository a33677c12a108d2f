#include "codecs/simd_targets.h"

#include <hwy/highway.h>

#include <cstdint>

namespace pare {

#if defined(HWY_COMPILE_ONLY_STATIC)

// One target, and nothing to choose.
std::vector<std::string> simd_targets() { return {hwy::TargetName(HWY_TARGET)}; }
void limit_simd(const std::string&) {}

#else

namespace {

// Highway orders targets by bit: the lower, the better. Those that this build has code for.
std::vector<int64_t> runnable() {
  hwy::SetSupportedTargetsForTest(0);
  std::vector<int64_t> targets;
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    targets.push_back(left & -left);
  }
  return targets;
}

}  // namespace

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (int64_t target : runnable()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void limit_simd(const std::string& name) {
  int64_t allowed = 0;
  for (int64_t target : runnable()) {
    if (hwy::TargetName(target) == name) allowed = target;
  }
  hwy::SetSupportedTargetsForTest(allowed);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

#endif

}  // namespace pare

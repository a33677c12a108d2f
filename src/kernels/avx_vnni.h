// The core for AVX-VNNI: that of AVX2, but quantized panels are multiplied by instructions that add
// products of bytes in 32 bits at once. So no levels are too large, and none are widened. For the
// two files that say in which of their encodings: PARE_MANY_TARGET, and PARE_DPBUSD and PARE_DPWSSD
// (sum, w, x).
#pragma once

#include "kernels/many_avx2.h"

#if defined(__x86_64__)

HWY_PUSH_ATTRIBUTES(PARE_MANY_TARGET)

namespace pare::avx2 {
namespace {

struct Vnni {
  static PARE_METHOD void add_fours(__m256i* sum, __m256i w, __m256i x) {
    *sum = PARE_DPBUSD(*sum, w, x);
  }
  static PARE_METHOD void add_wide(__m256i* sum, __m256i w, __m256i x) {
    *sum = PARE_DPWSSD(*sum, w, x);
  }
};

}  // namespace
}  // namespace pare::avx2

HWY_POP_ATTRIBUTES

namespace pare::avx2 {
namespace {

Core vnni_core() {
  Core core = avx2_core();
  core.level = CpuLevel::kAvxVnni;
  core.wide = nullptr;
  core.interleave = avx2_interleave;
  core.many = choose_many<Vnni, Range::k1>;
  core.many_wide = many<Vnni, Range::kWords, 32, 0>;
  return core;
}

}  // namespace
}  // namespace pare::avx2

#endif  // __x86_64__

// Kernels of spans for AVX-512 with VNNI and VBMI, which looks codebooks up in registers.
#include "kernels/dot.h"
#include "kernels/unpack.h"

#if defined(__x86_64__)

#define PARE_SPAN_TARGET \
  "avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi"
#include "kernels/span_kernels_avx512.h"
#include "kernels/span_lattice_vbmi.h"

namespace pare {

std::span<const Dot> vbmi_dots() { return span::dots(span::LatticesOfFour()); }

std::span<const Unpacker> vbmi_unpackers() { return span::unpackers(span::LatticesOfFour()); }

}  // namespace pare

#endif

// Kernels of spans for AVX-512 with VNNI.
#include "kernels/dot.h"
#include "kernels/unpack.h"

#if defined(__x86_64__)

#define PARE_SPAN_TARGET "avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#include "kernels/span_blocks_avx512.h"
#include "kernels/span_k_avx512.h"
#include "kernels/span_kernels_avx512.h"
#include "kernels/span_lattice_avx512.h"

namespace pare {

std::span<const Dot> avx512_dots() {
  return span::dots(span::Blocks() + span::SuperBlocks() + span::Lattices() + span::ForDots());
}

std::span<const Unpacker> avx512_unpackers() {
  return span::unpackers(span::Blocks() + span::SuperBlocks() + span::Lattices() +
                         span::ForPanels());
}

}  // namespace pare

#endif

// FP4, ternary and one- and two-bit codecs: their kernels.
#include "kernels/cuda/matvec.cuh"
#include "kernels/cuda/packed_gemm.cuh"

namespace pare::cuda {

const Family& small_family() {
  static const Family family = {
      describe_all(SmallCodecs()), launch_matvec<SmallCodecs>, launch_unpack<SmallCodecs>,
      [](Stream& stream, const PackedArgs& args) { launch_packed(SmallCodecs(), stream, args); }};
  return family;
}

}  // namespace pare::cuda

// FP4, ternary and one- and two-bit codecs: their kernels.
#include "kernels/cuda/matvec_one.cuh"
#include "kernels/cuda/matvec_stream.cuh"
#include "kernels/cuda/packed_gemm.cuh"

namespace pare::cuda {

const Family& small_family() {
  static const Family family = {
      describe_all(SmallCodecs()),
      launch_matvec<SmallCodecs>,
      launch_unpack<SmallCodecs>,
      [](Stream& stream, const PackedArgs& args) { launch_packed(SmallCodecs(), stream, args); },
      launch_matvec_one<SmallCodecs>,
      launch_matvec_stream<SmallCodecs>};
  return family;
}

}  // namespace pare::cuda

// The K codecs and IQ4_XS: their kernels.
#include "kernels/cuda/matvec_one.cuh"
#include "kernels/cuda/matvec_stream.cuh"
#include "kernels/cuda/packed_gemm.cuh"

namespace pare::cuda {

const Family& k_family() {
  static const Family family = {
      describe_all(KCodecs()),
      launch_matvec<KCodecs>,
      launch_unpack<KCodecs>,
      [](Stream& stream, const PackedArgs& args) { launch_packed(KCodecs(), stream, args); },
      launch_matvec_one<KCodecs>,
      launch_matvec_stream<KCodecs>};
  return family;
}

}  // namespace pare::cuda

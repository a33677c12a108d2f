// The lattice codecs: their kernels.
#include "kernels/cuda/matvec_one.cuh"
#include "kernels/cuda/matvec_stream.cuh"
#include "kernels/cuda/packed_gemm.cuh"

namespace pare::cuda {

const Family& lattice_family() {
  static const Family family = {
      describe_all(LatticeCodecs()),
      launch_matvec<LatticeCodecs>,
      launch_unpack<LatticeCodecs>,
      [](Stream& stream, const PackedArgs& args) { launch_packed(LatticeCodecs(), stream, args); },
      launch_matvec_one<LatticeCodecs>,
      launch_matvec_stream<LatticeCodecs>};
  return family;
}

}  // namespace pare::cuda

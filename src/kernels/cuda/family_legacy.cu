// The 32-column codecs: their kernels.
#include "kernels/cuda/matvec_one.cuh"
#include "kernels/cuda/matvec_stream.cuh"
#include "kernels/cuda/packed_gemm.cuh"

namespace pare::cuda {

const Family& legacy_family() {
  static const Family family = {
      describe_all(LegacyCodecs()),
      launch_matvec<LegacyCodecs>,
      launch_unpack<LegacyCodecs>,
      [](Stream& stream, const PackedArgs& args) { launch_packed(LegacyCodecs(), stream, args); },
      launch_matvec_one<LegacyCodecs>,
      launch_matvec_stream<LegacyCodecs>};
  return family;
}

}  // namespace pare::cuda

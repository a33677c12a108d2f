#include <ATen/Parallel.h>

#include "codecs/codec.h"
#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_model.h"

namespace pare {

Result<torch::Tensor> decode_tensor(const PackedTensor& packed) {
  const Codec& from = codec(packed.codec);
  if (from.decode_row == nullptr) return unsupported("{} cannot be decoded", from.name);
  try {
    const auto dims = packed.shape.dims();
    torch::Tensor tensor =
        torch::empty(torch::IntArrayRef(dims.data(), dims.size()), torch::kFloat32);
    float* out = tensor.data_ptr<float>();
    const int64_t columns = packed.shape.columns();
    constexpr int64_t kGrain = 1 << 15;  // elements that are worth a task
    at::parallel_for(0, packed.shape.rows(),
                     std::max<int64_t>(1, kGrain / std::max<int64_t>(1, columns)),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t r = begin; r < end; ++r) {
                         from.decode_row(packed.row_bytes(r, 1).data(), out + r * columns, columns);
                       }
                     });
    return tensor;
  } catch (const std::exception& error) {
    return torch_error(fmt::format("decoding {} {}", from.name, packed.shape.to_string()), error);
  }
}

}  // namespace pare

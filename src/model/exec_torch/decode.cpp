#include <ATen/Parallel.h>

#include <optional>

#include "codecs/codec.h"
#include "model/exec_torch/torch_device.h"
#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_model.h"

namespace pare {
namespace {

// Types that a GPU can turn into float32 by itself.
std::optional<torch::ScalarType> torch_type(CodecId codec) {
  switch (codec) {
    case CodecId::kF32:
      return torch::kFloat32;
    case CodecId::kF16:
      return torch::kFloat16;
    case CodecId::kBF16:
      return torch::kBFloat16;
    default:
      return {};
  }
}

}  // namespace

Result<torch::Tensor> decode_tensor(const PackedTensor& packed, const torch::Device& device) {
  const Codec& from = codec(packed.codec);
  if (from.decode_row == nullptr) return unsupported("{} cannot be decoded", from.name);
  try {
    const torch::IntArrayRef dims(packed.shape.dims().data(), packed.shape.dims().size());
    if (const auto type = torch_type(packed.codec); type && !device.is_cpu()) {
      void* bytes = const_cast<std::byte*>(packed.bytes.data());
      return to_device(torch::from_blob(bytes, dims, *type), device).to(torch::kFloat32);
    }
    torch::Tensor tensor = torch::empty(dims, torch::kFloat32);
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
    return to_device(tensor, device);
  } catch (const std::exception& error) {
    return torch_error(fmt::format("decoding {} {}", from.name, packed.shape.to_string()), error);
  }
}

}  // namespace pare

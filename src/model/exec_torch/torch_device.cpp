#include "model/exec_torch/torch_device.h"

#include <torch/cuda.h>
#include <torch/version.h>

#include "base/device_name.h"
#include "base/shared_library.h"

namespace pare {

Result<torch::Device> find_torch_device(const std::string& name) {
  if (name == "cpu") return torch::Device(torch::kCPU);
  const int index = cuda_index(name);
  if (index < 0) {
    return invalid_argument("--device: \"{}\" is none of cpu, cuda and cuda:N", name);
  }
  if (!torch::cuda::is_available()) {
    return unsupported(
        "--device {}: this libtorch ({}) finds no GPU; it must be one that is built with CUDA, and "
        "an NVIDIA driver must be installed",
        name, TORCH_VERSION);
  }
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (index >= count) {
    return unsupported("--device {}: there {} {} GPU{}", name, count == 1 ? "is" : "are", count,
                       count == 1 ? "" : "s");
  }
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(index));
}

uint64_t free_device_memory(const torch::Device& device) {
  if (!device.is_cuda()) return 0;
  // The driver answers for the context that is current: a tensor makes it the device's.
  const torch::Tensor here = torch::zeros({1}, device);
  const auto entry = load_library("libcuda.so.1", "cuMemGetInfo_v2", "");
  if (!entry.ok()) return 0;
  size_t free = 0, total = 0;
  const int error = reinterpret_cast<int (*)(size_t*, size_t*)>(*entry)(&free, &total);
  return error == 0 ? free : 0;
}

torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device) {
  if (tensor.device() == device) return tensor;
  if (!device.is_cuda() || !tensor.is_cpu()) return tensor.to(device);
  torch::Tensor locked = torch::empty(tensor.sizes(), tensor.options().pinned_memory(true));
  locked.copy_(tensor);
  return locked.to(device, /*non_blocking=*/true);
}

}  // namespace pare

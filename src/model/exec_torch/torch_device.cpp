#include "model/exec_torch/torch_device.h"

#include <torch/cuda.h>
#include <torch/version.h>

#include "base/device_name.h"
#include "base/shared_library.h"
#include "model/exec_torch/torch_error.h"

namespace pare {

Result<torch::Device> find_torch_device(const std::string& name) {
  if (name == "cpu") return torch::Device(torch::kCPU);
  const int index = cuda_index(name);
  if (index < 0) {
    return invalid_argument("--device: \"{}\" is none of cpu, cuda, cuda:N and auto", name);
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

namespace {

// GPUs that the driver knows, without asking libtorch.
int driver_devices() {
  const auto init = load_library("libcuda.so.1", "cuInit", "");
  const auto ask = load_library("libcuda.so.1", "cuDeviceGetCount", "");
  int count = 0;
  if (!init.ok() || !ask.ok() || reinterpret_cast<int (*)(unsigned)>(*init)(0) != 0) return 0;
  return reinterpret_cast<int (*)(int*)>(*ask)(&count) == 0 ? count : 0;
}

double gibibytes(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

}  // namespace

torch::Device choose_torch_device(uint64_t needed, std::string* why) {
  if (driver_devices() == 0) return torch::kCPU;
  try {
    const Result<torch::Device> found = find_torch_device("cuda");
    if (!found.ok()) {
      *why = fmt::format("this libtorch ({}) is built without CUDA", TORCH_VERSION);
      return torch::kCPU;
    }
    const uint64_t free = free_device_memory(*found);
    if (free >= needed) return *found;
    *why = fmt::format("about {:.1f} GiB are needed on the GPU, and {:.1f} GiB are free",
                       gibibytes(needed), gibibytes(free));
  } catch (const std::exception& error) {
    *why = torch_error("using the GPU", error).message();
  }
  return torch::kCPU;
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

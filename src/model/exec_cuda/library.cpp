// What libpare_cuda exports.
#include <algorithm>

#include "model/exec_cuda/cuda_model.h"

namespace pare {
namespace {

Result<DeviceInfo> describe(int index) {
  cudaDeviceProp properties{};
  PARE_RETURN_IF_ERROR(cuda_status(cudaGetDeviceProperties(&properties, index), "asking the GPU"));
  PARE_RETURN_IF_ERROR(cuda_status(cudaSetDevice(index), "choosing the GPU"));
  size_t free = 0, total = 0;
  PARE_RETURN_IF_ERROR(cuda_status(cudaMemGetInfo(&free, &total), "asking the GPU"));
  int driver = 0;
  PARE_RETURN_IF_ERROR(cuda_status(cudaDriverGetVersion(&driver), "asking the driver"));
  return DeviceInfo{.index = index,
                    .name = properties.name,
                    .memory = total,
                    .free_memory = free,
                    .major = properties.major,
                    .minor = properties.minor,
                    .driver = fmt::format("CUDA {}.{}", driver / 1000, driver % 1000 / 10)};
}

class CudaAccelerator final : public Accelerator {
 public:
  Result<std::vector<DeviceInfo>> devices() const override {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver) {
      int driver = 0, runtime = 0;
      cudaDriverGetVersion(&driver);
      cudaRuntimeGetVersion(&runtime);
      if (driver == 0) return unsupported("no NVIDIA driver is installed");
      return unsupported("the NVIDIA driver is for CUDA {}.{}; this build needs {}.{}",
                         driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
      return unsupported("there is no NVIDIA GPU");
    }
    if (error != cudaSuccess) {
      return unsupported("the NVIDIA driver does not answer: {}", cudaGetErrorString(error));
    }
    std::vector<DeviceInfo> found;
    for (int i = 0; i < count; ++i) {
      PARE_ASSIGN_OR_RETURN(DeviceInfo info, describe(i));
      found.push_back(std::move(info));
    }
    return found;
  }

  Result<std::shared_ptr<const DeviceModel>> load(std::shared_ptr<const NativeModel> model,
                                                  const DeviceRequest& request) const override {
    PARE_ASSIGN_OR_RETURN(const std::vector<DeviceInfo> all, devices());
    if (request.device < 0 || request.device >= static_cast<int>(all.size())) {
      return invalid_argument("there is no GPU {}, there {} {}", request.device,
                              all.size() == 1 ? "is" : "are", all.size());
    }
    const DeviceInfo& device = all[static_cast<size_t>(request.device)];
    if (device.major < 8) {
      return unsupported("{} has compute capability {}.{}; 8.0 is needed", device.name,
                         device.major, device.minor);
    }
    return CudaModel::load(std::move(model), device, request);
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const Accelerator* pare_accelerator() {
  static const CudaAccelerator accelerator;
  return &accelerator;
}

}  // namespace pare

// Weights on a GPU: the matrices field by field (kernels/cuda/unit.h), norms and biases as floats.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/device.h"
#include "model/exec_cuda/device_plan.h"
#include "model/exec_cuda/memory.h"
#include "model/exec_native/accelerator.h"

namespace pare {

class CudaModel final : public DeviceModel, public std::enable_shared_from_this<CudaModel> {
 public:
  static Result<std::shared_ptr<const DeviceModel>> load(std::shared_ptr<const NativeModel> model,
                                                         const DeviceInfo& device,
                                                         const DeviceRequest& request);

  const DeviceInfo& device() const override { return device_; }
  int64_t first_block() const override { return first_block_; }
  uint64_t bytes() const override { return memory_.bytes(); }
  Result<std::unique_ptr<DeviceSession>> open(int64_t context, CodecId kv) const override;
  Result<double> copy_bandwidth() const override;

  const NativeModel& model() const { return *model_; }
  const DevicePlan& plan() const { return plan_; }
  // A stream's description without its handle.
  const cuda::Stream& traits() const { return traits_; }
  const cuda::Matrix& matrix(int32_t tensor) const {
    return matrices_[static_cast<size_t>(tensor)];
  }
  const float* floats(int32_t tensor) const {
    return tensor < 0 ? nullptr : floats_[static_cast<size_t>(tensor)];
  }
  const cuda::Books& books() const { return books_; }
  // Calls of the CUDA runtime go to the model's device afterwards.
  Status use_device() const;

 private:
  CudaModel() = default;
  std::vector<const DevicePart*> parts() const;  // those that run on the device
  Status lay_out(Arena* arena);
  Status upload(cudaStream_t stream);

  std::shared_ptr<const NativeModel> model_;
  DeviceInfo device_;
  cuda::Stream traits_;
  DevicePlan plan_;
  int64_t first_block_ = 0;
  CudaMemory memory_;
  std::vector<cuda::Matrix> matrices_;  // by tensor; rows 0: not on the device
  std::vector<float*> floats_;
  uint8_t* books_memory_ = nullptr;
  cuda::Books books_;
};

}  // namespace pare

// The device that a TorchModel computes on: the CPU, or a GPU where libtorch was built with CUDA.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/exec_torch/torch.h"

namespace pare {

// "cpu", "cuda" (the first) or "cuda:N". kInvalidArgument: another word; kUnsupported, with the
// reason: there is no such device, or this libtorch cannot use it.
Result<torch::Device> find_torch_device(const std::string& name);

// The first GPU if there is one, this libtorch can use it and `needed` bytes are free there; else
// the CPU, and in *why, where there is a GPU, why not.
torch::Device choose_torch_device(uint64_t needed, std::string* why);

// Bytes that are free on a GPU; 0 if nobody can say.
uint64_t free_device_memory(const torch::Device& device);

// The tensor there; itself if it is there already. To a GPU it goes by way of page-locked memory,
// so that the copy runs beside the CPU.
torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device);

}  // namespace pare

// Memory of a device and of the host beside it, and what CUDA says as a Status.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "base/status.h"

namespace pare {

// kInternal: "doing: what CUDA says"; success for cudaSuccess.
Status cuda_status(cudaError_t error, const char* doing);

// Memory that is given back with the object: the device's, or the host's, pinned for copies.
class CudaMemory {
 public:
  CudaMemory() = default;
  ~CudaMemory();
  CudaMemory(CudaMemory&& other) noexcept;
  CudaMemory& operator=(CudaMemory&& other) noexcept;

  // kInvalidArgument: there is not that much.
  static Result<CudaMemory> on_device(uint64_t bytes, const char* what);
  static Result<CudaMemory> on_host(uint64_t bytes, const char* what);

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
  bool host_ = false;
};

// Lays arrays one after the other, each at a multiple of 256 bytes. Without memory it counts.
class Arena {
 public:
  explicit Arena(uint8_t* memory = nullptr) : memory_(memory) {}
  template <typename T = uint8_t>
  T* take(int64_t count) {
    const uint64_t at = used_;
    used_ += (static_cast<uint64_t>(count) * sizeof(T) + 255) / 256 * 256;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + at);
  }
  uint64_t used() const { return used_; }

 private:
  uint8_t* memory_;
  uint64_t used_ = 0;
};

// A stream of the device's work, destroyed with the object.
class CudaStream {
 public:
  CudaStream() = default;
  ~CudaStream();
  CudaStream(CudaStream&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  CudaStream& operator=(CudaStream&&) = delete;
  static Result<CudaStream> create();
  cudaStream_t handle() const { return handle_; }
  Status wait() const;

 private:
  cudaStream_t handle_ = nullptr;
};

}  // namespace pare

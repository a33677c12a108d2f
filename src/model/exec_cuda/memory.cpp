#include "model/exec_cuda/memory.h"

#include <utility>

namespace pare {

Status cuda_status(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return {};
  if (error == cudaErrorMemoryAllocation) {
    return invalid_argument("{}: the GPU has too little memory left", doing);
  }
  return internal_error("{}: the GPU failed: {} ({})", doing, cudaGetErrorString(error),
                        cudaGetErrorName(error));
}

CudaMemory::~CudaMemory() {
  if (data_ == nullptr) return;
  if (host_) {
    cudaFreeHost(data_);
  } else {
    cudaFree(data_);
  }
}

CudaMemory::CudaMemory(CudaMemory&& other) noexcept { *this = std::move(other); }

CudaMemory& CudaMemory::operator=(CudaMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(host_, other.host_);
  return *this;
}

Result<CudaMemory> CudaMemory::on_device(uint64_t bytes, const char* what) {
  CudaMemory memory;
  void* data = nullptr;
  if (const cudaError_t error = cudaMalloc(&data, bytes); error != cudaSuccess) {
    cudaGetLastError();  // it is told here
    return cuda_status(
        error,
        fmt::format("{} ({:.2f} GiB)", what, static_cast<double>(bytes) / (1 << 30)).c_str());
  }
  memory.data_ = static_cast<uint8_t*>(data);
  memory.bytes_ = bytes;
  return memory;
}

Result<CudaMemory> CudaMemory::on_host(uint64_t bytes, const char* what) {
  CudaMemory memory;
  void* data = nullptr;
  if (const cudaError_t error = cudaMallocHost(&data, bytes); error != cudaSuccess) {
    cudaGetLastError();
    return cuda_status(error, what);
  }
  memory.data_ = static_cast<uint8_t*>(data);
  memory.bytes_ = bytes;
  memory.host_ = true;
  return memory;
}

CudaStream::~CudaStream() {
  if (handle_ != nullptr) cudaStreamDestroy(handle_);
}

Result<CudaStream> CudaStream::create() {
  CudaStream stream;
  PARE_RETURN_IF_ERROR(
      cuda_status(cudaStreamCreateWithFlags(&stream.handle_, cudaStreamNonBlocking), "a stream"));
  return stream;
}

Status CudaStream::wait() const {
  return cuda_status(cudaStreamSynchronize(handle_), "waiting for the GPU");
}

}  // namespace pare

// For tests on a GPU: whether there is one, and arrays on it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/cuda/matmul.h"
#include "model/exec_cuda/memory.h"
#include "model/exec_native/accelerator.h"

namespace pare::gpu_test {

// Why no test can run here, or "".
inline std::string missing_gpu() {
  const auto devices = pare_accelerator()->devices();
  return devices.ok() ? "" : devices.status().message();
}

// A stream as sessions have it.
class TestStream {
 public:
  TestStream() {
    auto made = CudaStream::create();
    EXPECT_TRUE(made.ok()) << made.status().message();
    if (made.ok()) handle_ = std::make_unique<CudaStream>(std::move(made).value());
    stream.handle = handle_->handle();
    int major = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    cudaDeviceGetAttribute(&stream.processors, cudaDevAttrMultiProcessorCount, 0);
    cudaDeviceGetAttribute(&stream.shared_memory, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0);
    stream.overlap = cuda::kernels_can_overlap(major);
  }
  void wait() {
    stream.note(cudaStreamSynchronize(stream.handle));
    ASSERT_EQ(stream.error, cudaSuccess) << cudaGetErrorString(stream.error);
  }
  cuda::Stream stream;

 private:
  std::unique_ptr<CudaStream> handle_;
};

// A vector on the device, filled with bytes of 0xff (floats: NaN) where it is not given.
template <typename T>
class Array {
 public:
  explicit Array(size_t count) : count_(count) {
    auto memory = CudaMemory::on_device(std::max<size_t>(1, count * sizeof(T)), "a test");
    EXPECT_TRUE(memory.ok()) << memory.status().message();
    memory_ = std::move(memory).value();
    cudaMemset(memory_.data(), 0xff, count * sizeof(T));
    cudaDeviceSynchronize();
  }
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    EXPECT_EQ(cudaMemcpy(data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), data(), count_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

 private:
  size_t count_;
  CudaMemory memory_;
};

}  // namespace pare::gpu_test

#define PARE_NEEDS_GPU() \
  if (const std::string why = gpu_test::missing_gpu(); !why.empty()) GTEST_SKIP() << why

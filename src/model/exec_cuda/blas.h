// cuBLAS, loaded when it is there: the fastest products of halves on large tiles. Without it the
// engine's own kernel does them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

namespace pare {

class Blas {
 public:
  // Null: there is no cuBLAS that can be loaded, or PARE_CUBLAS is 0 in the environment.
  static std::unique_ptr<Blas> create(cudaStream_t stream);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  // y[t][r] = sum_c weight[r][c] x[t][c] in float, for halves; strides in elements. False: cuBLAS
  // failed.
  bool multiply(const uint16_t* weight, int64_t rows, int64_t columns, const uint16_t* x,
                int64_t x_stride, int64_t tokens, float* y, int64_t y_stride) const;

 private:
  Blas() = default;
  void* handle_ = nullptr;
};

}  // namespace pare

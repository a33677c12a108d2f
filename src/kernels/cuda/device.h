// What launchers take: matrices, rows of activations and the stream that work is put on. Pointers
// are the device's unless said otherwise; "rows" of activations are one per token.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/unit.h"

namespace pare::cuda {

// Where launchers put work. The first error stays in `error`; what follows is not launched.
struct Stream {
  cudaStream_t handle = nullptr;
  bool overlap = false;  // kernels may start while the one before them ends (sm_90 and newer)
  int processors = 1;
  int shared_memory = 48 << 10;  // bytes that one block may have
  cudaError_t error = cudaSuccess;

  void note(cudaError_t result) {
    if (error == cudaSuccess) error = result;
  }
};

struct Matrix {
  CodecId codec = CodecId::kF32;
  int64_t rows = 0, columns = 0;
  const uint8_t* field[kMaxFields] = {};  // unit.h; floats lie in the first as in the file
};

// Floats: element c of row t is data[t * stride + c].
struct FloatRows {
  float* data = nullptr;
  int64_t stride = 0;
};

// Activations as products with few tokens read them: signed bytes in groups of 32, as the CPU
// engine has them. x = scale[c / 32] * q[c]; sum[c / 16] is the sum of 16 q. Rows follow each
// other without gaps.
struct Int8Rows {
  int8_t* q = nullptr;
  float* scale = nullptr;
  int16_t* sum = nullptr;
};

// As products with many tokens read them: x = scale[t] * data, a power of two that keeps every row
// within what f16 holds.
struct HalfRows {
  uint16_t* data = nullptr;
  int64_t stride = 0;
  float* scale = nullptr;
};

// The forms in which an operation leaves its result; null pointers: not in this one.
struct Forms {
  FloatRows floats;
  Int8Rows int8;
  HalfRows half;
};

// One matrix of a product: y[t][r] = sum_c w[r][c] x[t][c] + bias[r] + residual[t][r].
struct Output {
  FloatRows y;
  const float* bias = nullptr;  // or null
  FloatRows residual;           // data may be null, and may be y
};

enum class Gate { kNone, kSilu, kGeluTanh, kGeluErf };

}  // namespace pare::cuda

// What the parts of CudaSession ask of operations and matrices. For cuda_session_*.cpp.
#pragma once

#include "kernels/cuda/matmul.h"
#include "model/graph.h"

namespace pare {

inline cuda::Gate gate_of(OpKind kind) {
  switch (kind) {
    case OpKind::kSilu:
      return cuda::Gate::kSilu;
    case OpKind::kGeluTanh:
      return cuda::Gate::kGeluTanh;
    default:
      return cuda::Gate::kGeluErf;
  }
}

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

inline bool is_float(CodecId id) { return cuda::find_device_codec(id)->is_float; }

// Products of half-precision weights read 16 bytes at a time.
inline bool exact_only(const cuda::Matrix& m) {
  return m.codec == CodecId::kF32 || (is_float(m.codec) && m.columns % 8 != 0);
}

}  // namespace pare

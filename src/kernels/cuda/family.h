// What each family of codecs gives to the launchers of matmul.h. One file family_*.cu each.
#pragma once

#include "kernels/cuda/matmul.h"

namespace pare::cuda {

struct MatvecArgs;

// Rows as f16 or as floats times a factor; row i is index[i] of the matrix, or i.
struct UnpackArgs {
  Matrix matrix;
  const int32_t* index = nullptr;
  int64_t count = 0;  // rows
  uint16_t* half = nullptr;
  FloatRows floats;
  float factor = 1.0f;
  Books books;
};

struct PackedArgs {
  Segment segment;
  HalfRows x;
  int64_t tokens = 0;
  Books books;
};

struct OneArgs;

struct Family {
  std::span<const DeviceCodec> codecs;
  void (*matvec)(Stream& stream, MatvecArgs& args);
  void (*unpack)(Stream& stream, const UnpackArgs& args);
  void (*matmul)(Stream& stream, const PackedArgs& args);  // null for floats, as the next
  void (*matvec_one)(Stream& stream, OneArgs& args);
  void (*matvec_stream)(Stream& stream, OneArgs& args);  // the same for sm_90 and newer
};

const Family& float_family();
const Family& legacy_family();
const Family& small_family();
const Family& k_family();
const Family& lattice_family();

}  // namespace pare::cuda

// The element types of safetensors files.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/codec_id.h"

namespace pare::safetensors {

enum class Dtype : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
  kC64
};

struct DtypeInfo {
  Dtype dtype;
  const char* name;  // as in the file: "BF16"
  int bits;          // per element
  // What pare calls it. Absent: such tensors can be listed and copied, but not decoded.
  std::optional<CodecId> codec;
};

const DtypeInfo& dtype_info(Dtype dtype);
const DtypeInfo* find_dtype(std::string_view name);    // null if unknown
const DtypeInfo* find_dtype_for_codec(CodecId codec);  // null if safetensors cannot hold it

}  // namespace pare::safetensors

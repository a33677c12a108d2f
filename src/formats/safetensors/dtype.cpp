#include "formats/safetensors/dtype.h"

namespace pare::safetensors {
namespace {

// In the order of Dtype.
constexpr DtypeInfo kDtypes[] = {
    {Dtype::kBool, "BOOL", 8, {}},
    {Dtype::kU8, "U8", 8, {}},
    {Dtype::kI8, "I8", 8, CodecId::kI8},
    {Dtype::kF8E5M2, "F8_E5M2", 8, {}},
    {Dtype::kF8E4M3, "F8_E4M3", 8, {}},
    {Dtype::kF8E8M0, "F8_E8M0", 8, {}},
    {Dtype::kF4, "F4", 4, {}},
    {Dtype::kF6E2M3, "F6_E2M3", 6, {}},
    {Dtype::kF6E3M2, "F6_E3M2", 6, {}},
    {Dtype::kI16, "I16", 16, CodecId::kI16},
    {Dtype::kU16, "U16", 16, {}},
    {Dtype::kF16, "F16", 16, CodecId::kF16},
    {Dtype::kBF16, "BF16", 16, CodecId::kBF16},
    {Dtype::kI32, "I32", 32, CodecId::kI32},
    {Dtype::kU32, "U32", 32, {}},
    {Dtype::kF32, "F32", 32, CodecId::kF32},
    {Dtype::kF64, "F64", 64, CodecId::kF64},
    {Dtype::kI64, "I64", 64, CodecId::kI64},
    {Dtype::kU64, "U64", 64, {}},
    {Dtype::kC64, "C64", 64, {}},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kDtypes); ++i) {
    if (static_cast<size_t>(kDtypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

const DtypeInfo& dtype_info(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

const DtypeInfo* find_dtype(std::string_view name) {
  for (const DtypeInfo& info : kDtypes) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

const DtypeInfo* find_dtype_for_codec(CodecId codec) {
  for (const DtypeInfo& info : kDtypes) {
    if (info.codec == codec) return &info;
  }
  return nullptr;
}

}  // namespace pare::safetensors

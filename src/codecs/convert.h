// Rows of half and bfloat numbers to float and back, vectorised with run-time dispatch.
// The same bits as base/half.h on every CPU. The bytes need no alignment.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pare {

void fp16_to_floats(const std::byte* in, float* out, int64_t n);
void bf16_to_floats(const std::byte* in, float* out, int64_t n);
void floats_to_fp16(const float* in, std::byte* out, int64_t n);
void floats_to_bf16(const float* in, std::byte* out, int64_t n);

}  // namespace pare

// Which kernels a weight meets: the unpacker of its codec and the core of the CPU level.
#pragma once

#include <string>

#include "kernels/core.h"
#include "kernels/dot.h"
#include "kernels/dot_floats.h"
#include "kernels/unpack.h"

namespace pare {

struct Kernel {
  const Core* core;
  const Unpacker* unpacker;  // null for float weights, which are decoded
  // Null: few tokens are multiplied with unpacked or decoded rows, too.
  const Dot* dot = nullptr;
  FloatDot float_dot = nullptr;
  // Half-precision weights: many tokens meet them rounded, to 16-bit integers (Core::many_wide) or
  // to two parts of bfloat16.
  bool round_floats = false;
};

// Null core: no kernel multiplies weights of this codec.
Kernel select_kernel(CpuLevel level, CodecId codec);

// Whether many tokens meet another precision than one: bfloat16, or activations of 16 bits.
bool many_tokens_differ(const Kernel& kernel);

// For people: "avx512: bytes, scales of 32, offsets of 32; unpacked by avx512".
std::string describe_kernel(CpuLevel level, CodecId codec);

}  // namespace pare

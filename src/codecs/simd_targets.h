// The instruction sets among which the vectorised kernels choose at run time.
#pragma once

#include <string>
#include <vector>

namespace pare {

// Names of those that this CPU can run, best first ("AVX3", "AVX2", "SSE4", ...).
std::vector<std::string> simd_targets();

// Restricts kernels to the named one and worse; an unknown name lifts the restriction. For
// tests and benchmarks: not thread safe beside running kernels.
void limit_simd(const std::string& name);

}  // namespace pare

// Every codec that the device multiplies with, by family. A new one is a description in one of the
// files below and a word here.
#pragma once

#include "kernels/cuda/units_k.h"
#include "kernels/cuda/units_lattice.h"
#include "kernels/cuda/units_legacy.h"

namespace pare::cuda {

template <typename... C>
struct CodecList {};

using LegacyCodecs = CodecList<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL>;
using SmallCodecs = CodecList<MXFP4, NVFP4, Q1_0, Q2_0, TQ1_0, TQ2_0>;
using KCodecs = CodecList<Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS>;
using LatticeCodecs = CodecList<IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S>;

}  // namespace pare::cuda

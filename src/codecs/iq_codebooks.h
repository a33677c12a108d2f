// The codebooks of the I types: the magnitudes (IQ2, IQ3) or signed values (IQ1) that one
// grid index stands for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pare {

template <size_t kEntries, size_t kValues>
using Codebook = std::array<std::array<int8_t, kValues>, kEntries>;

extern const Codebook<2048, 8> kIq1Book;  // IQ1_S and IQ1_M
extern const Codebook<256, 8> kIq2XxsBook;
extern const Codebook<512, 8> kIq2XsBook;
extern const Codebook<1024, 8> kIq2SBook;
extern const Codebook<256, 4> kIq3XxsBook;
extern const Codebook<512, 4> kIq3SBook;

}  // namespace pare

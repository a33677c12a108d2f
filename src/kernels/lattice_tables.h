// What the unpackers of the lattice formats look up.
#pragma once

#include <array>
#include <cstdint>

namespace pare {

// The IQ1 codebook as levels: eight bytes of 8 * value + 16, to which a group's shift adds 1 or -1.
inline constexpr int kIq1Zero = 16;
const std::array<uint64_t, 2048>& iq1_levels();

}  // namespace pare

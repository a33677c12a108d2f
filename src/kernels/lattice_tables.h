// What the unpackers of the lattice formats look up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pare {

// The IQ1 codebook as levels: eight bytes of 8 * value + 16, to which a group's shift adds 1 or -1.
inline constexpr int kIq1Zero = 16;
const std::array<uint64_t, 2048>& iq1_levels();

// A codebook of IQ3 with its few magnitudes apart: an entry holds the indices of its four
// magnitudes, three bits each, the first lowest.
template <size_t kEntries>
struct LatticeEntries {
  alignas(64) uint16_t entry[kEntries];
  alignas(16) uint8_t magnitude[16];
};
const LatticeEntries<256>& iq3_xxs_entries();
const LatticeEntries<512>& iq3_s_entries();

}  // namespace pare

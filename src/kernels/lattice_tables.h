// What the unpackers of the lattice formats look up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pare {

// The IQ1 codebook as levels: eight bytes of 8 * value + 16, to which a group's shift adds 1 or -1.
inline constexpr int kIq1Zero = 16;
const std::array<uint64_t, 2048>& iq1_levels();

// A codebook of IQ2 or IQ3 with the few magnitudes apart: an entry holds the indices of its
// magnitudes, two bits for each of eight or three bits for each of four, the first lowest.
template <size_t kEntries>
struct LatticeEntries {
  alignas(64) uint16_t entry[kEntries];
  alignas(16) uint8_t magnitude[16];
};
const LatticeEntries<256>& iq2_xxs_entries();
const LatticeEntries<512>& iq2_xs_entries();
const LatticeEntries<1024>& iq2_s_entries();
const LatticeEntries<256>& iq3_xxs_entries();
const LatticeEntries<512>& iq3_s_entries();

}  // namespace pare

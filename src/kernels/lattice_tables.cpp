#include "kernels/lattice_tables.h"

#include "codecs/iq_codebooks.h"

namespace pare {

const std::array<uint64_t, 2048>& iq1_levels() {
  static const auto table = [] {
    std::array<uint64_t, 2048> levels{};
    for (size_t i = 0; i < levels.size(); ++i) {
      for (size_t v = 0; v < 8; ++v) {
        const auto level = static_cast<uint8_t>(8 * kIq1Book[i][v] + kIq1Zero);
        levels[i] |= static_cast<uint64_t>(level) << (8 * v);
      }
    }
    return levels;
  }();
  return table;
}

}  // namespace pare

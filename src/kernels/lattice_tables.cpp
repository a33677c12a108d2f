#include "kernels/lattice_tables.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "codecs/iq_codebooks.h"

namespace pare {
namespace {

template <size_t kCount>
LatticeEntries<kCount> entries_of(const Codebook<kCount, 4>& book) {
  constexpr size_t kBits = 3;
  std::set<int8_t> magnitudes;
  for (const auto& values : book) magnitudes.insert(values.begin(), values.end());
  PARE_CHECK(magnitudes.size() <= size_t{1} << kBits, "a codebook has too many magnitudes");
  LatticeEntries<kCount> result{};
  std::copy(magnitudes.begin(), magnitudes.end(), result.magnitude);
  for (size_t i = 0; i < kCount; ++i) {
    for (size_t v = 0; v < 4; ++v) {
      const auto index = std::distance(magnitudes.begin(), magnitudes.find(book[i][v]));
      result.entry[i] |= static_cast<uint16_t>(index << (kBits * v));
    }
  }
  return result;
}

}  // namespace

const LatticeEntries<256>& iq3_xxs_entries() {
  static const auto entries = entries_of(kIq3XxsBook);
  return entries;
}
const LatticeEntries<512>& iq3_s_entries() {
  static const auto entries = entries_of(kIq3SBook);
  return entries;
}

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

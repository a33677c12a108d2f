// Unpackers of the lattice formats (IQ1, IQ2, IQ3): super-blocks of 256 columns, of which eight
// (a unit) come from a codebook at a time. Entries are copied for a whole piece first and signed
// afterwards, so that no vector waits for the bytes just stored.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unpack_lattice.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/iq_codebooks.h"
#include "kernels/lattice_tables.h"
#include "kernels/unpack-inl.h"
#include "kernels/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

constexpr int kSignZero = 64;  // magnitudes of IQ2 and IQ3 are below it

// Sign bytes of a piece, one per unit.
struct Signs {
  alignas(64) uint8_t v[kPieceColumns / 8];

  // Magnitudes to levels.
  HWY_INLINE void apply(int64_t columns, uint8_t* level) const {
    const B zero = splat(kSignZero);
    for (size_t c = 0; c < static_cast<size_t>(columns); c += 32) {
      each_vector([&](size_t i) HWY_ATTR {
        const B m = load(level + c + i);
        const auto negative = hn::LoadMaskBits(Bytes(), v + (c + i) / 8);
        store(hn::IfThenElse(negative, hn::Sub(zero, m), hn::Add(zero, m)), level + c + i);
      });
    }
  }
};

template <size_t kEntries>
HWY_INLINE void put8(const Codebook<kEntries, 8>& book, size_t entry, uint8_t* out) {
  std::memcpy(out, book[entry].data(), 8);
}
template <size_t kEntries>
HWY_INLINE void put4(const Codebook<kEntries, 4>& book, size_t entry, uint8_t* out) {
  std::memcpy(out, book[entry].data(), 4);
}

// out[g] = d * (0.5 + code g) * factor for nibbles, low half first; n / 2 bytes.
HWY_INLINE void scale_nibbles(float d, float factor, const uint8_t* in, size_t n, float* out) {
  for (size_t g = 0; g < n; ++g) {
    const int code = in[g / 2] >> (4 * (g & 1)) & 15;
    out[g] = d * (0.5f + static_cast<float>(code)) * factor;
  }
}

// f16 d; per group of 32: four bytes of index, a word of four 7-bit sign indices and the scale.
void unpack_iq2_xxs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto& even = even_sign_bytes();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 66) {
    const float d = half_at(block);
    for (size_t g = 0; g < 8; ++g) {
      const uint8_t* group = block + 2 + 8 * g;
      const uint32_t word = load_u32(group + 4);
      out->scale[static_cast<size_t>(c) / 32 + g] =
          d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
      for (size_t u = 0; u < 4; ++u) {
        const size_t unit = static_cast<size_t>(c) / 8 + 4 * g + u;
        put8(kIq2XxsBook, group[u], out->level + 8 * unit);
        signs.v[unit] = even[word >> (7 * u) & 127u];
      }
    }
  }
  signs.apply(columns, out->level);
}

// f16 d; per unit a word of 9-bit index and 7-bit sign index; eight bytes of scales of 16 columns.
void unpack_iq2_xs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto& even = even_sign_bytes();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 74) {
    scale_nibbles(half_at(block), 0.25f, block + 66, 16, out->scale + c / 16);
    for (size_t u = 0; u < 32; ++u) {
      const size_t unit = static_cast<size_t>(c) / 8 + u;
      const uint32_t word = load_u16(block + 2 + 2 * u);
      put8(kIq2XsBook, word & 511u, out->level + 8 * unit);
      signs.v[unit] = even[word >> 9];
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 32 low index bytes, 32 sign bytes, 8 bytes of high index bits, 8 bytes of scales.
void unpack_iq2_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 82) {
    scale_nibbles(half_at(block), 0.25f, block + 74, 16, out->scale + c / 16);
    std::memcpy(signs.v + c / 8, block + 34, 32);
    const uint64_t high = load_u64(block + 66);
    for (size_t u = 0; u < 32; ++u) {
      const size_t index = block[2 + u] | (high >> (2 * u) & 3u) << 8;
      put8(kIq2SBook, index, out->level + c + static_cast<int64_t>(8 * u));
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 64 index bytes (two per unit), then per group of 32 a word as in IQ2_XXS.
void unpack_iq3_xxs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto& even = even_sign_bytes();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 98) {
    const float d = half_at(block);
    for (size_t g = 0; g < 8; ++g) {
      const uint32_t word = load_u32(block + 66 + 4 * g);
      out->scale[static_cast<size_t>(c) / 32 + g] =
          d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      for (size_t u = 0; u < 4; ++u) {
        signs.v[static_cast<size_t>(c) / 8 + 4 * g + u] = even[word >> (7 * u) & 127u];
      }
    }
    for (size_t i = 0; i < 64; ++i) {
      put4(kIq3XxsBook, block[2 + i], out->level + c + static_cast<int64_t>(4 * i));
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 64 index bytes, 8 bytes of high index bits, 32 sign bytes, 4 bytes of scales.
void unpack_iq3_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 110) {
    scale_nibbles(half_at(block), 2.0f, block + 106, 8, out->scale + c / 32);
    std::memcpy(signs.v + c / 8, block + 74, 32);
    const uint64_t high = load_u64(block + 66);
    for (size_t i = 0; i < 64; ++i) {
      const size_t index = block[2 + i] | (high >> i & 1u) << 8;
      put4(kIq3SBook, index, out->level + c + static_cast<int64_t>(4 * i));
    }
  }
  signs.apply(columns, out->level);
}

constexpr uint64_t kOnes = 0x0101010101010101u;
// Levels of a unit of IQ1 whose shift has the given sign; levels are eight times the values.
HWY_INLINE void put_iq1(uint64_t levels, bool negative, uint8_t* out) {
  const uint64_t shifted = negative ? levels - kOnes : levels + kOnes;
  std::memcpy(out, &shifted, 8);
}

// f16 d, 32 low index bytes, per group of 32 a word: four times three high index bits, three bits
// of scale, the sign of the shift.
void unpack_iq1_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto& book = iq1_levels();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 50) {
    const float d = half_at(block);
    for (size_t g = 0; g < 8; ++g) {
      const uint32_t word = load_u16(block + 34 + 2 * g);
      const int code = static_cast<int>(word >> 12 & 7u);
      out->scale[static_cast<size_t>(c) / 32 + g] = d * (0.5f + static_cast<float>(code)) * 0.25f;
      for (size_t u = 0; u < 4; ++u) {
        const size_t index = block[2 + 4 * g + u] | (word >> (3 * u) & 7u) << 8;
        put_iq1(book[index], (word & 0x8000u) != 0,
                out->level + c + static_cast<int64_t>(32 * g + 8 * u));
      }
    }
  }
}

// 32 low index bytes, 16 bytes of a nibble per unit (three high index bits, the sign of the
// shift), four words of four 3-bit scales of 16 columns, whose top nibbles are d.
void unpack_iq1_m(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto& book = iq1_levels();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 56) {
    uint32_t d_bits = 0;
    for (size_t w = 0; w < 4; ++w) {
      d_bits |= static_cast<uint32_t>(load_u16(block + 48 + 2 * w)) >> 12 << (4 * w);
    }
    const float d = fp16_to_float(static_cast<uint16_t>(d_bits));
    for (size_t g = 0; g < 16; ++g) {
      const int code = load_u16(block + 48 + g / 4 * 2) >> (3 * (g % 4)) & 7;
      out->scale[static_cast<size_t>(c) / 16 + g] = d * (0.5f + static_cast<float>(code)) * 0.25f;
    }
    for (size_t u = 0; u < 32; ++u) {
      const uint32_t nibble = static_cast<uint32_t>(block[32 + u / 2]) >> (4 * (u % 2)) & 15u;
      put_iq1(book[block[u] | (nibble & 7u) << 8], (nibble & 8u) != 0,
              out->level + c + static_cast<int64_t>(8 * u));
    }
  }
}

const Unpacker kUnpackers[] = {
    {CodecId::kIQ1_S, {32, 0, kIq1Zero, 25}, unpack_iq1_s},
    {CodecId::kIQ1_M, {16, 0, kIq1Zero, 25}, unpack_iq1_m},
    {CodecId::kIQ2_XXS, {32, 0, kSignZero, 107}, unpack_iq2_xxs},
    {CodecId::kIQ2_XS, {16, 0, kSignZero, 107}, unpack_iq2_xs},
    {CodecId::kIQ2_S, {16, 0, kSignZero, 107}, unpack_iq2_s},
    {CodecId::kIQ3_XXS, {32, 0, kSignZero, 126}, unpack_iq3_xxs},
    {CodecId::kIQ3_S, {32, 0, kSignZero, 126}, unpack_iq3_s},
};
std::span<const Unpacker> lattice_unpackers() { return kUnpackers; }

#endif  // HWY_TARGET != HWY_SCALAR
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
PARE_CHOOSE_UNPACKERS(lattice_unpackers)
}  // namespace pare
#endif  // HWY_ONCE

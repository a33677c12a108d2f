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

using Shorts8 = hn::FixedTag<uint16_t, 8>;

// Indices of a block's codebook entries.
struct Indices {
  alignas(64) uint16_t v[64];
};

// n bytes, widened; from(i) gives the bits above the bytes of eight indices from i.
template <class High>
HWY_INLINE void gather_indices(const uint8_t* low, size_t n, const High& high, Indices* out) {
  const Shorts8 d;
  const hn::Rebind<uint8_t, Shorts8> d8;
  for (size_t i = 0; i < n; i += 8) {
    hn::Store(hn::Or(hn::PromoteTo(d, hn::LoadU(d8, low + i)), high(i)), d, out->v + i);
  }
}

// d * (0.5 + code) * factor, in the order of the codecs.
template <class D, class V>
HWY_INLINE hn::Vec<D> steps_to_scale(D d, float super, V code, float factor) {
  const auto steps = hn::Add(hn::Set(d, 0.5f), hn::ConvertTo(d, code));
  return hn::Mul(hn::Mul(hn::Set(d, super), steps), hn::Set(d, factor));
}

// Scales of nibbles, low half first: 8 of 4 bytes or 16 of 8.
template <size_t kCount>
HWY_INLINE void scale_nibbles(float super, float factor, const uint8_t* in, float* out) {
  const hn::FixedTag<uint8_t, 8> d8;
  const hn::FixedTag<uint8_t, 16> d16;
  const hn::CappedTag<float, 8> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> codes_of;
  uint8_t packed[8] = {};
  std::memcpy(packed, in, kCount / 2);
  const auto v = hn::LoadU(d8, packed);
  alignas(16) uint8_t codes[16];
  const auto low = hn::ZeroExtendVector(d16, hn::And(v, hn::Set(d8, 15)));
  const auto high = hn::ZeroExtendVector(d16, hn::ShiftRight<4>(v));
  hn::Store(hn::InterleaveLower(d16, low, high), d16, codes);
  for (size_t g = 0; g < kCount; g += hn::Lanes(d)) {
    const auto code = hn::PromoteTo(di, hn::LoadU(codes_of, codes + g));
    hn::StoreU(steps_to_scale(d, super, code, factor), d, out + g);
  }
}

// A word per group of 32 columns: four 7-bit sign indices, whose eighth sign makes their number
// even, and a scale in the top four bits. Eight words to sign bytes and scales.
HWY_INLINE void unpack_words(const uint32_t* words, float super, float factor, uint8_t* signs,
                             float* scales) {
  const hn::CappedTag<uint32_t, 8> d;
  const hn::Repartition<uint8_t, decltype(d)> d8;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToFloat<decltype(d)> df;
  for (size_t i = 0; i < 8; i += hn::Lanes(d)) {
    const auto w = hn::LoadU(d, words + i);
    const auto field = [&](uint32_t mask) HWY_ATTR { return hn::And(w, hn::Set(d, mask)); };
    const auto indices =
        hn::Or(hn::Or(field(0x7f), hn::ShiftLeft<1>(field(0x3f80))),
               hn::Or(hn::ShiftLeft<2>(field(0x1fc000)), hn::ShiftLeft<3>(field(0xfe00000))));
    auto parity = hn::Xor(indices, hn::ShiftRight<4>(indices));
    parity = hn::Xor(parity, hn::ShiftRight<2>(parity));
    parity = hn::Xor(parity, hn::ShiftRight<1>(parity));
    const auto eighth = hn::ShiftLeft<7>(hn::And(parity, hn::Set(d, 0x01010101)));
    hn::StoreU(hn::BitCast(d8, hn::Or(indices, eighth)), d8, signs + 4 * i);
    const auto code = hn::BitCast(di, hn::ShiftRight<28>(w));
    hn::StoreU(steps_to_scale(df, super, code, factor), df, scales + i);
  }
}

// f16 d; per group of 32: four bytes of index, a word.
void unpack_iq2_xxs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  alignas(64) uint32_t words[kPieceColumns / 32];
  float supers[kPieceColumns / 256];
  for (int64_t c = 0; c < columns; c += 256, block += 66) {
    supers[c / 256] = half_at(block);
    for (size_t g = 0; g < 8; ++g) {
      const uint8_t* group = block + 2 + 8 * g;
      uint8_t* level = out->level + c + static_cast<int64_t>(32 * g);
      words[static_cast<size_t>(c) / 32 + g] = load_u32(group + 4);
      for (size_t u = 0; u < 4; ++u) put8(kIq2XxsBook, group[u], level + 8 * u);
    }
  }
  for (int64_t c = 0; c < columns; c += 256) {
    unpack_words(words + c / 32, supers[c / 256], 0.25f, signs.v + c / 8, out->scale + c / 32);
  }
  signs.apply(columns, out->level);
}

// f16 d; per unit a word of 9-bit index and 7-bit sign index; eight bytes of scales of 16 columns.
void unpack_iq2_xs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const hn::RebindToSigned<Shorts8> di;
  const hn::Rebind<uint8_t, Shorts8> d8;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 74) {
    scale_nibbles<16>(half_at(block), 0.25f, block + 66, out->scale + c / 16);
    for (size_t u = 0; u < 32; u += 8) {
      uint16_t words[8];
      std::memcpy(words, block + 2 + 2 * u, sizeof words);
      const auto w = hn::ShiftRight<9>(hn::LoadU(d, words));
      auto parity = hn::Xor(w, hn::ShiftRight<4>(w));
      parity = hn::Xor(parity, hn::ShiftRight<2>(parity));
      parity = hn::Xor(parity, hn::ShiftRight<1>(parity));
      const auto eighth = hn::ShiftLeft<7>(hn::And(parity, hn::Set(d, 1)));
      hn::StoreU(hn::DemoteTo(d8, hn::BitCast(di, hn::Or(w, eighth))), d8, signs.v + c / 8 + u);
      uint8_t* level = out->level + c + static_cast<int64_t>(8 * u);
      for (size_t i = 0; i < 8; ++i) {
        put8(kIq2XsBook, load_u16(block + 2 + 2 * (u + i)) & 511u, level + 8 * i);
      }
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 32 low index bytes, 32 sign bytes, 8 bytes of high index bits, 8 bytes of scales.
void unpack_iq2_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const hn::Repartition<uint8_t, Shorts8> bytes;
  // Two bytes of high bits, four units each: every unit's byte, then its two bits moved to 8 and 9.
  alignas(16) constexpr uint8_t kSpread[16] = {0, 255, 0, 255, 0, 255, 0, 255,
                                               1, 255, 1, 255, 1, 255, 1, 255};
  alignas(16) constexpr uint16_t kMove[8] = {256, 64, 16, 4, 256, 64, 16, 4};
  const auto spread = hn::Load(bytes, kSpread);
  const auto move = hn::Load(d, kMove);
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 82) {
    scale_nibbles<16>(half_at(block), 0.25f, block + 74, out->scale + c / 16);
    std::memcpy(signs.v + c / 8, block + 34, 32);
    const uint8_t* high = block + 66;
    gather_indices(
        block + 2, 32,
        [&](size_t i) HWY_ATTR {
          const auto two =
              hn::BitCast(bytes, hn::Set(d, static_cast<uint16_t>(load_u16(high + i / 4))));
          const auto each = hn::BitCast(d, hn::TableLookupBytesOr0(two, spread));
          return hn::And(hn::Mul(each, move), hn::Set(d, 0x300));
        },
        &indices);
    for (size_t u = 0; u < 32; ++u) {
      put8(kIq2SBook, indices.v[u], out->level + c + static_cast<int64_t>(8 * u));
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 64 index bytes (two per unit), then per group of 32 a word as in IQ2_XXS.
void unpack_iq3_xxs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  for (int64_t c = 0; c < columns; c += 256, block += 98) {
    uint32_t words[8];
    std::memcpy(words, block + 66, sizeof words);
    unpack_words(words, half_at(block), 0.5f, signs.v + c / 8, out->scale + c / 32);
    for (size_t i = 0; i < 64; ++i) {
      put4(kIq3XxsBook, block[2 + i], out->level + c + static_cast<int64_t>(4 * i));
    }
  }
  signs.apply(columns, out->level);
}

// f16 d, 64 index bytes, 8 bytes of high index bits, 32 sign bytes, 4 bytes of scales.
void unpack_iq3_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Signs signs;
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 110) {
    scale_nibbles<8>(half_at(block), 2.0f, block + 106, out->scale + c / 32);
    std::memcpy(signs.v + c / 8, block + 74, 32);
    gather_indices(
        block + 2, 64,
        [&](size_t i) HWY_ATTR {
          return hn::IfThenElseZero(hn::LoadMaskBits(d, block + 66 + i / 8), hn::Set(d, 256));
        },
        &indices);
    for (size_t i = 0; i < 64; ++i) {
      put4(kIq3SBook, indices.v[i], out->level + c + static_cast<int64_t>(4 * i));
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
  const Shorts8 d;
  const hn::Repartition<uint8_t, Shorts8> bytes;
  const hn::CappedTag<float, 8> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<uint16_t, decltype(df)> words_of;
  // Two words, four units each: every unit's word, its three bits moved to the top.
  alignas(16) constexpr uint8_t kSpread[16] = {0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3};
  alignas(16) constexpr uint16_t kMove[8] = {8192, 1024, 128, 16, 8192, 1024, 128, 16};
  const auto spread = hn::Load(bytes, kSpread);
  const auto move = hn::Load(d, kMove);
  const auto& book = iq1_levels();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 50) {
    uint16_t words[8];
    std::memcpy(words, block + 34, sizeof words);
    const float super = half_at(block);
    for (size_t g = 0; g < 8; g += hn::Lanes(df)) {
      const auto w = hn::PromoteTo(di, hn::LoadU(words_of, words + g));
      const auto code = hn::And(hn::ShiftRight<12>(w), hn::Set(di, 7));
      hn::StoreU(steps_to_scale(df, super, code, 0.25f), df, out->scale + c / 32 + g);
    }
    gather_indices(
        block + 2, 32,
        [&](size_t i) HWY_ATTR {
          const hn::FixedTag<uint32_t, 4> d32;
          const auto two = hn::BitCast(bytes, hn::Set(d32, load_u32(block + 34 + i / 2)));
          const auto each = hn::BitCast(d, hn::TableLookupBytes(two, spread));
          return hn::And(hn::ShiftRight<5>(hn::Mul(each, move)), hn::Set(d, 0x700));
        },
        &indices);
    for (size_t g = 0; g < 8; ++g) {
      const bool negative = (words[g] & 0x8000u) != 0;
      uint8_t* level = out->level + c + static_cast<int64_t>(32 * g);
      for (size_t u = 0; u < 4; ++u) put_iq1(book[indices.v[4 * g + u]], negative, level + 8 * u);
    }
  }
}

// 32 low index bytes, 16 bytes of a nibble per unit (three high index bits, the sign of the
// shift), four words of four 3-bit scales of 16 columns, whose top nibbles are d.
void unpack_iq1_m(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const hn::Rebind<uint8_t, Shorts8> d8;
  const hn::FixedTag<int32_t, 4> di;
  const hn::RebindToFloat<decltype(di)> df;
  const hn::RebindToUnsigned<decltype(di)> du;
  alignas(16) constexpr uint32_t kShift[4] = {0, 3, 6, 9};
  const auto& book = iq1_levels();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 56) {
    const uint64_t words = load_u64(block + 48);
    const uint64_t d_bits =
        (words >> 12 & 0xf) | (words >> 24 & 0xf0) | (words >> 36 & 0xf00) | (words >> 48 & 0xf000);
    const float super = fp16_to_float(static_cast<uint16_t>(d_bits));
    for (size_t w = 0; w < 4; ++w) {
      const auto word = hn::Set(du, static_cast<uint32_t>(words >> (16 * w) & 0xfff));
      const auto code = hn::And(hn::Shr(word, hn::Load(du, kShift)), hn::Set(du, 7));
      hn::StoreU(steps_to_scale(df, super, hn::BitCast(di, code), 0.25f), df,
                 out->scale + c / 16 + 4 * w);
    }
    gather_indices(
        block, 32,
        [&](size_t i) HWY_ATTR {
          // Four bytes of nibbles, low halves first.
          const uint32_t four = load_u32(block + 32 + i / 2);
          const uint64_t spread = four & 0x0f0f0f0fu, upper = four >> 4 & 0x0f0f0f0fu;
          const auto low =
              hn::PromoteTo(d, hn::BitCast(d8, hn::Set(hn::FixedTag<uint64_t, 1>(), spread)));
          const auto high =
              hn::PromoteTo(d, hn::BitCast(d8, hn::Set(hn::FixedTag<uint64_t, 1>(), upper)));
          return hn::ShiftLeft<8>(hn::InterleaveLower(d, low, high));
        },
        &indices);
    for (size_t u = 0; u < 32; ++u) {
      const uint32_t index = indices.v[u];
      put_iq1(book[index & 0x7ffu], (index & 0x800u) != 0,
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

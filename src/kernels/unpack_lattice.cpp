// Unpackers of the lattice formats (IQ1, IQ2, IQ3): super-blocks of 256 columns, of which eight
// (a unit) come from a codebook at a time.
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
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

constexpr int kSignZero = 64;  // magnitudes of IQ2 and IQ3 are below it

// Sixteen bytes from a book: two units of eight, or four halves of units. Registers are put
// together before they are stored, because vectors that are loaded soon after their parts were
// stored wait for them.
HWY_INLINE B16 join(const uint8_t* a, const uint8_t* b) {
  const hn::FixedTag<uint8_t, 8> d8;
  return hn::Combine(Bytes16(), hn::LoadU(d8, b), hn::LoadU(d8, a));
}
HWY_INLINE B16 join(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d) {
#if HWY_ARCH_X86
  __m128i v = _mm_cvtsi32_si128(static_cast<int>(load_u32(a)));
  v = _mm_insert_epi32(v, static_cast<int>(load_u32(b)), 1);
  v = _mm_insert_epi32(v, static_cast<int>(load_u32(c)), 2);
  return B16{_mm_insert_epi32(v, static_cast<int>(load_u32(d)), 3)};
#else
  const hn::FixedTag<uint8_t, 4> d4;
  const hn::FixedTag<uint8_t, 8> d8;
  return hn::Combine(Bytes16(), hn::Combine(d8, hn::LoadU(d4, d), hn::LoadU(d4, c)),
                     hn::Combine(d8, hn::LoadU(d4, b), hn::LoadU(d4, a)));
#endif
}

// A vector of units from unit u: entry(u) is where unit u's eight bytes are.
template <class Entry>
HWY_INLINE B units(const Entry& entry, size_t u) {
  const B16 first = join(entry(u), entry(u + 1));
#if HWY_MAX_BYTES >= 32
  return hn::Combine(Bytes(), join(entry(u + 2), entry(u + 3)), first);
#else
  return first;
#endif
}
// The same from halves: entry(i) is where four bytes are.
template <class Entry>
HWY_INLINE B halves(const Entry& entry, size_t i) {
  const B16 first = join(entry(i), entry(i + 1), entry(i + 2), entry(i + 3));
#if HWY_MAX_BYTES >= 32
  return hn::Combine(Bytes(), join(entry(i + 4), entry(i + 5), entry(i + 6), entry(i + 7)), first);
#else
  return first;
#endif
}

// Levels of magnitudes; signs: one bit per lane, set where negative.
HWY_INLINE B with_signs(B magnitudes, const uint8_t* signs) {
  const B zero = splat(kSignZero);
  return hn::IfThenElse(hn::LoadMaskBits(Bytes(), signs), hn::Sub(zero, magnitudes),
                        hn::Add(zero, magnitudes));
}

template <size_t kEntries, size_t kValues>
HWY_INLINE const uint8_t* entry_of(const Codebook<kEntries, kValues>& book, size_t index) {
  return reinterpret_cast<const uint8_t*>(book[index].data());
}

// 256 levels of a block; entry(u): where the magnitudes of unit u are; one sign byte per unit.
template <class Entry>
HWY_INLINE void put_units(const Entry& entry, const uint8_t* signs, uint8_t* level) {
  for (size_t c = 0; c < 256; c += hn::Lanes(Bytes())) {
    store(with_signs(units(entry, c / 8), signs + c / 8), level + c);
  }
}
// The same; entry(i): where four magnitudes are.
template <class Entry>
HWY_INLINE void put_halves(const Entry& entry, const uint8_t* signs, uint8_t* level) {
  for (size_t c = 0; c < 256; c += hn::Lanes(Bytes())) {
    store(with_signs(halves(entry, c / 4), signs + c / 8), level + c);
  }
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
  for (int64_t c = 0; c < columns; c += 256, block += 66) {
    uint32_t words[8];
    for (size_t g = 0; g < 8; ++g) words[g] = load_u32(block + 2 + 8 * g + 4);
    uint8_t signs[32];
    unpack_words(words, half_at(block), 0.25f, signs, out->scale + c / 32);
    put_units([&](size_t u)
                  HWY_ATTR { return entry_of(kIq2XxsBook, block[2 + u / 4 * 8 + u % 4]); },
              signs, out->level + c);
  }
}

// f16 d; per unit a word of 9-bit index and 7-bit sign index; eight bytes of scales of 16 columns.
void unpack_iq2_xs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const hn::RebindToSigned<Shorts8> di;
  const hn::Rebind<uint8_t, Shorts8> d8;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 74) {
    scale_nibbles<16>(half_at(block), 0.25f, block + 66, out->scale + c / 16);
    uint16_t words[32];
    std::memcpy(words, block + 2, sizeof words);
    uint8_t signs[32];
    for (size_t u = 0; u < 32; u += 8) {
      const auto w = hn::ShiftRight<9>(hn::LoadU(d, words + u));
      auto parity = hn::Xor(w, hn::ShiftRight<4>(w));
      parity = hn::Xor(parity, hn::ShiftRight<2>(parity));
      parity = hn::Xor(parity, hn::ShiftRight<1>(parity));
      const auto eighth = hn::ShiftLeft<7>(hn::And(parity, hn::Set(d, 1)));
      hn::StoreU(hn::DemoteTo(d8, hn::BitCast(di, hn::Or(w, eighth))), d8, signs + u);
    }
    put_units([&](size_t u)
                  HWY_ATTR { return entry_of(kIq2XsBook, load_u16(block + 2 + 2 * u) & 511u); },
              signs, out->level + c);
  }
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
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 82) {
    scale_nibbles<16>(half_at(block), 0.25f, block + 74, out->scale + c / 16);
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
    put_units([&](size_t u) HWY_ATTR { return entry_of(kIq2SBook, indices.v[u]); }, block + 34,
              out->level + c);
  }
}

// f16 d, 64 index bytes (two per unit), then per group of 32 a word as in IQ2_XXS.
void unpack_iq3_xxs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 98) {
    uint32_t words[8];
    std::memcpy(words, block + 66, sizeof words);
    uint8_t signs[32];
    unpack_words(words, half_at(block), 0.5f, signs, out->scale + c / 32);
    put_halves([&](size_t i) HWY_ATTR { return entry_of(kIq3XxsBook, block[2 + i]); }, signs,
               out->level + c);
  }
}

// f16 d, 64 index bytes, 8 bytes of high index bits, 32 sign bytes, 4 bytes of scales.
void unpack_iq3_s(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Shorts8 d;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Indices indices;
  for (int64_t c = 0; c < columns; c += 256, block += 110) {
    scale_nibbles<8>(half_at(block), 2.0f, block + 106, out->scale + c / 32);
    gather_indices(
        block + 2, 64,
        [&](size_t i) HWY_ATTR {
          return hn::IfThenElseZero(hn::LoadMaskBits(d, block + 66 + i / 8), hn::Set(d, 256));
        },
        &indices);
    put_halves([&](size_t i) HWY_ATTR { return entry_of(kIq3SBook, indices.v[i]); }, block + 74,
               out->level + c);
  }
}

HWY_INLINE const uint8_t* iq1_entry(const std::array<uint64_t, 2048>& book, size_t index) {
  return reinterpret_cast<const uint8_t*>(&book[index]);
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
    for (size_t at = 0; at < 256; at += hn::Lanes(Bytes())) {
      const B shift = splat((words[at / 32] & 0x8000u) != 0 ? -1 : 1);
      const B values =
          units([&](size_t u) HWY_ATTR { return iq1_entry(book, indices.v[u]); }, at / 8);
      store(hn::Add(values, shift), out->level + c + at);
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
    for (size_t at = 0; at < 256; at += hn::Lanes(Bytes())) {
      // Every unit's index in a lane of its size: bit 11 becomes bytes of -1, or else of 1.
      const hn::Repartition<uint64_t, Bytes> d64;
      const hn::Rebind<uint16_t, decltype(d64)> index_of;
      const hn::Rebind<uint32_t, decltype(d64)> d32;
      const auto index =
          hn::PromoteTo(d64, hn::PromoteTo(d32, hn::LoadU(index_of, indices.v + at / 8)));
      const auto bit = hn::And(hn::ShiftRight<11>(index), hn::Set(d64, 1));
      const auto shift = hn::Or(hn::Sub(hn::Zero(d64), bit), hn::Set(d64, 0x0101010101010101u));
      const B values =
          units([&](size_t u) HWY_ATTR { return iq1_entry(book, indices.v[u] & 0x7ffu); }, at / 8);
      store(hn::Add(values, hn::BitCast(Bytes(), shift)), out->level + c + at);
    }
  }
}

const Unpacker kUnpackers[] = {
    {"simd", CodecId::kIQ1_S, {32, 0, kIq1Zero, 25}, unpack_iq1_s},
    {"simd", CodecId::kIQ1_M, {16, 0, kIq1Zero, 25}, unpack_iq1_m},
    {"simd", CodecId::kIQ2_XXS, {32, 0, kSignZero, 107}, unpack_iq2_xxs},
    {"simd", CodecId::kIQ2_XS, {16, 0, kSignZero, 107}, unpack_iq2_xs},
    {"simd", CodecId::kIQ2_S, {16, 0, kSignZero, 107}, unpack_iq2_s},
    {"simd", CodecId::kIQ3_XXS, {32, 0, kSignZero, 126}, unpack_iq3_xxs},
    {"simd", CodecId::kIQ3_S, {32, 0, kSignZero, 126}, unpack_iq3_s},
};
std::span<const Unpacker> lattice_unpackers() { return kUnpackers; }

#endif  // a target with vectors
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
PARE_CHOOSE_UNPACKERS(lattice_unpackers)
}  // namespace pare
#endif  // HWY_ONCE

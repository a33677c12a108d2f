// Unpackers of the formats whose blocks are 32 columns with a scale each, and of NVFP4.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unpack_legacy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/fp4.h"
#include "codecs/kquant.h"
#include "kernels/unpack-inl.h"
#include "kernels/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

// Blocks of 32 columns: kBytes bytes that begin with a binary16 scale. levels(block, out).
template <size_t kBytes, class Levels>
HWY_INLINE void unpack_scaled(const std::byte* in, int64_t columns, PlanarPiece* out,
                              const Levels& levels) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  const auto blocks = static_cast<size_t>(columns / 32);
  Halves scales;
  for (size_t b = 0; b < blocks; ++b, block += kBytes) {
    scales.v[b] = load_u16(block);
    levels(block, out->level + 32 * b);
  }
  scales.to_floats(blocks, out->scale);
}

// The same, with a binary16 offset behind the scale.
template <size_t kBytes, class Levels>
HWY_INLINE void unpack_shifted(const std::byte* in, int64_t columns, PlanarPiece* out,
                               const Levels& levels) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  const auto blocks = static_cast<size_t>(columns / 32);
  Halves scales, offsets;
  for (size_t b = 0; b < blocks; ++b, block += kBytes) {
    scales.v[b] = load_u16(block);
    offsets.v[b] = load_u16(block + 2);
    levels(block, out->level + 32 * b);
  }
  scales.to_floats(blocks, out->scale);
  offsets.to_floats(blocks, out->offset);
}

// 32 levels of nibbles and fifth bits, one per column. Put together before they are stored: a
// vector loaded from two that were just stored waits for them.
HWY_INLINE void store_fives(const uint8_t* nibbles, const uint8_t* bits, uint8_t* level) {
  const Bytes16 d;
  const B16 v = hn::LoadU(d, nibbles);
  const auto fifth = [&](size_t half) HWY_ATTR {
    return hn::IfThenElseZero(hn::LoadMaskBits(d, bits + 2 * half), hn::Set(d, 16));
  };
  hn::StoreU(hn::Or(hn::And(v, hn::Set(d, 15)), fifth(0)), d, level);
  hn::StoreU(hn::Or(hn::ShiftRight<4>(v), fifth(1)), d, level + 16);
}

void unpack_q4_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  unpack_scaled<18>(in, columns, out, [](const uint8_t* block, uint8_t* level) HWY_ATTR {
    store_nibbles(block + 2, 16, level);
  });
}

void unpack_q4_1(const std::byte* in, int64_t columns, PlanarPiece* out) {
  unpack_shifted<20>(in, columns, out, [](const uint8_t* block, uint8_t* level) HWY_ATTR {
    store_nibbles(block + 4, 16, level);
  });
}

void unpack_q5_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  unpack_scaled<22>(in, columns, out, [](const uint8_t* block, uint8_t* level) HWY_ATTR {
    store_fives(block + 6, block + 2, level);
  });
}

void unpack_q5_1(const std::byte* in, int64_t columns, PlanarPiece* out) {
  unpack_shifted<24>(in, columns, out, [](const uint8_t* block, uint8_t* level) HWY_ATTR {
    store_fives(block + 8, block + 4, level);
  });
}

// Signed bytes; level - 128 is the value.
void unpack_q8_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  unpack_scaled<34>(in, columns, out, [](const uint8_t* block, uint8_t* level) HWY_ATTR {
    each_vector([&](size_t i)
                    HWY_ATTR { store(hn::Xor(load(block + 2 + i), splat(128)), level + i); });
  });
}

constexpr int kTableZero = 127;  // IQ4_NL's least level

HWY_INLINE B16 iq4_table() {
  const Bytes16 d;
  const hn::RebindToSigned<Bytes16> ds;
  return hn::Add(hn::BitCast(d, hn::LoadU(ds, kquant::kTable.data())), hn::Set(d, kTableZero));
}

void unpack_iq4_nl(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const B16 table = iq4_table();
  unpack_scaled<18>(in, columns, out, [&](const uint8_t* block, uint8_t* level) HWY_ATTR {
    store_nibbles_of(table, block + 2, level);
  });
}

// f16 d, u16 of high code bits, 4 bytes of low code bits (two groups each), 128 bytes of indices.
void unpack_iq4_xs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const B16 table = iq4_table();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 136) {
    const uint32_t high = load_u16(block + 2);
    int8_t codes[8];
    for (size_t g = 0; g < 8; ++g) {
      const uint32_t low = block[4 + g / 2] >> (4 * (g & 1)) & 15u;
      codes[g] = static_cast<int8_t>(static_cast<int>(low | (high >> (2 * g) & 3u) << 4) - 32);
    }
    scale_codes(half_at(block), codes, 8, out->scale + c / 32);
    for (size_t g = 0; g < 8; ++g) {
      store_nibbles_of(table, block + 8 + 16 * g, out->level + c + static_cast<int64_t>(32 * g));
    }
  }
}

constexpr int kFp4Zero = 12;  // twice E2M1's largest value

HWY_INLINE B16 fp4_table() {
  const Bytes16 d;
  const hn::RebindToSigned<Bytes16> ds;
  return hn::Add(hn::BitCast(d, hn::LoadU(ds, kFp4Levels.data())), hn::Set(d, kFp4Zero));
}

// A byte of exponent, 16 of indices. Levels are twice the values, so the scale is half of it.
void unpack_mxfp4(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const B16 table = fp4_table();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 32, block += 17) {
    const uint32_t e = block[0];
    const uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    std::memcpy(out->scale + c / 32, &bits, sizeof bits);
    store_nibbles_of(table, block + 1, out->level + c);
  }
}

// What the 256 scale bytes of NVFP4 stand for, halved: unsigned E4M3 whose byte 0x7f is 0.
struct E4M3 {
  float v[256] = {};
  constexpr E4M3() {
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, mantissa = code & 7;
      float scale = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8);
      for (int e = exponent == 0 ? 1 : exponent; e < 11; ++e) scale *= 0.5f;
      for (int e = 11; e < exponent; ++e) scale *= 2.0f;
      v[code] = code == 0x7f ? 0.0f : scale;
    }
  }
};
constexpr E4M3 kHalfE4M3;

// Four bytes of scales, then for each group of 16 columns eight bytes of indices: byte j holds
// columns j and j + 8.
void unpack_nvfp4(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Bytes16 d;
  const B16 table = fp4_table();
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 64, block += 36) {
    for (int g = 0; g < 4; ++g) out->scale[c / 16 + g] = kHalfE4M3.v[block[g]];
    for (int pair = 0; pair < 2; ++pair) {
      const B16 v = hn::LoadU(d, block + 4 + 16 * pair);
      const B16 low = hn::TableLookupBytes(table, hn::And(v, hn::Set(d, 15)));
      const B16 high = hn::TableLookupBytes(table, hn::ShiftRight<4>(v));
      const hn::Repartition<uint64_t, Bytes16> d64;
      const auto l = hn::BitCast(d64, low), h = hn::BitCast(d64, high);
      uint8_t* level = out->level + c + 32 * pair;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(l, h)), d, level);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, l, h)), d, level + 16);
    }
  }
}

const Unpacker kUnpackers[] = {
    {"simd", CodecId::kQ4_0, {32, 0, 8, 15}, unpack_q4_0},
    {"simd", CodecId::kQ4_1, {32, 32, 0, 15}, unpack_q4_1},
    {"simd", CodecId::kQ5_0, {32, 0, 16, 31}, unpack_q5_0},
    {"simd", CodecId::kQ5_1, {32, 32, 0, 31}, unpack_q5_1},
    {"simd", CodecId::kQ8_0, {32, 0, 128, 255}, unpack_q8_0},
    {"simd", CodecId::kIQ4_NL, {32, 0, kTableZero, 240}, unpack_iq4_nl},
    {"simd", CodecId::kIQ4_XS, {32, 0, kTableZero, 240}, unpack_iq4_xs},
    {"simd", CodecId::kMXFP4, {32, 0, kFp4Zero, 24}, unpack_mxfp4},
    {"simd", CodecId::kNVFP4, {16, 0, kFp4Zero, 24}, unpack_nvfp4},
};
std::span<const Unpacker> legacy_unpackers() { return kUnpackers; }

#endif  // a target with vectors
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
PARE_CHOOSE_UNPACKERS(legacy_unpackers)
}  // namespace pare
#endif  // HWY_ONCE

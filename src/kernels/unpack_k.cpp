// Unpackers of the K-quants: super-blocks of 256 columns.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unpack_k.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/unpack-inl.h"
#include "kernels/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

// Q2_K and Q3_K have few levels and few scale codes: their product fits a byte. So the super-scale
// is all that is left of the scale, and sums over 32 columns stay integers. One table of the
// products with each scale code.
constexpr int kQ3Zero = 124;
template <int kCodes, int kLevels, int kFirstCode, int kFirstLevel, int kZero>
struct Products {
  alignas(64) uint8_t v[kCodes][16] = {};
  constexpr Products() {
    for (int c = 0; c < kCodes; ++c) {
      for (int l = 0; l < kLevels; ++l) {
        v[c][l] = static_cast<uint8_t>((c + kFirstCode) * (l + kFirstLevel) + kZero);
      }
    }
  }
};
constexpr Products<16, 4, 0, 0, 0> kQ2Products;
constexpr Products<64, 8, -32, -4, kQ3Zero> kQ3Products;

// 16 bytes of codes (scale in the low half, minimum in the high half), 64 bytes of levels, f16 d,
// f16 dmin. Bits 2 j and 2 j + 1 of level byte 32 h + i are column 128 h + 32 j + i.
void unpack_q2_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Bytes16 d;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 84) {
    alignas(16) uint8_t scales[16], minima[16];
    const B16 codes = hn::LoadU(d, block);
    hn::Store(hn::And(codes, hn::Set(d, 15)), d, scales);
    hn::Store(hn::ShiftRight<4>(codes), d, minima);
    fill(half_at(block + 80), 8, out->scale + c / 32);
    scale_codes(-half_at(block + 82), minima, 16, out->offset + c / 16);
    for (size_t half = 0; half < 4; ++half) {
      const size_t h = half / 2, side = half % 2;  // 16 of the 32 bytes at a time
      const B16 bits = hn::LoadU(d, block + 16 + 16 * half);
      uint8_t* level = out->level + c + static_cast<int64_t>(128 * h + 16 * side);
      const auto put = [&](size_t j, B16 index) HWY_ATTR {
        const B16 table = hn::Load(d, kQ2Products.v[scales[8 * h + 2 * j + side]]);
        hn::StoreU(hn::TableLookupBytes(table, hn::And(index, hn::Set(d, 3))), d, level + 32 * j);
      };
      put(0, bits);
      put(1, hn::ShiftRight<2>(bits));
      put(2, hn::ShiftRight<4>(bits));
      put(3, hn::ShiftRight<6>(bits));
    }
  }
}

// AVX2 multiplies bytes up to 127 only, so there Q3_K has its own levels and a scale per 16
// columns.
constexpr bool kQ3Codes = HWY_TARGET == HWY_AVX2;

// 32 bytes of high bits, 64 bytes of low bits, 12 bytes of codes, f16 d. Level + 4 has its low two
// bits at bits 2 j, 2 j + 1 of byte 32 h + i and its high bit at bit 4 h + j of byte i, for column
// 128 h + 32 j + i. Scale code + 32 of group 4 k + r: low four bits in byte 4 (k & 1) + r, half
// k >> 1; high two at bits 2 k of byte 8 + r.
void unpack_q3_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const Bytes16 d;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 110) {
    const uint32_t a = load_u32(block + 96), b = load_u32(block + 100), t = load_u32(block + 104);
    const uint32_t words[4] = {(a & 0x0f0f0f0fu) | (t & 0x03030303u) << 4,
                               (b & 0x0f0f0f0fu) | (t >> 2 & 0x03030303u) << 4,
                               (a >> 4 & 0x0f0f0f0fu) | (t >> 4 & 0x03030303u) << 4,
                               (b >> 4 & 0x0f0f0f0fu) | (t >> 6 & 0x03030303u) << 4};
    if constexpr (kQ3Codes) {
      const hn::Repartition<int8_t, Bytes16> di;
      alignas(16) int8_t codes[16];
      std::memcpy(codes, words, sizeof codes);
      hn::Store(hn::Sub(hn::Load(di, codes), hn::Set(di, 32)), di, codes);
      scale_codes(half_at(block + 108), codes, 16, out->scale + c / 16);
    } else {
      fill(half_at(block + 108), 8, out->scale + c / 32);
    }
    for (size_t half = 0; half < 4; ++half) {
      const size_t h = half / 2, side = half % 2;
      const B16 low = hn::LoadU(d, block + 32 + 16 * half);
      const B16 high = hn::LoadU(d, block + 16 * side);
      uint8_t* level = out->level + c + static_cast<int64_t>(128 * h + 16 * side);
      const auto put = [&](size_t j, B16 index) HWY_ATTR {
        const auto is_high = hn::TestBit(high, hn::Set(d, static_cast<uint8_t>(1u << (4 * h + j))));
        B16 l = hn::Or(hn::And(index, hn::Set(d, 3)), hn::IfThenElseZero(is_high, hn::Set(d, 4)));
        if constexpr (!kQ3Codes) {
          const size_t g = 8 * h + 2 * j + side;
          const uint32_t code = words[g / 4] >> (8 * (g % 4)) & 63u;
          l = hn::TableLookupBytes(hn::Load(d, kQ3Products.v[code]), l);
        }
        hn::StoreU(l, d, level + 32 * j);
      };
      put(0, low);
      put(1, hn::ShiftRight<2>(low));
      put(2, hn::ShiftRight<4>(low));
      put(3, hn::ShiftRight<6>(low));
    }
  }
}
constexpr PlanarForm kQ3Form = kQ3Codes ? PlanarForm{16, 0, 4, 7} : PlanarForm{32, 0, kQ3Zero, 252};

// Scales and offsets of Q4_K and Q5_K: f16 d, f16 dmin, and 6-bit codes of eight groups in 12
// bytes (codecs/kquant_scales6.h).
HWY_INLINE void unpack_scales6(const uint8_t* block, float* scale, float* offset) {
  const uint32_t a = load_u32(block + 4), b = load_u32(block + 8), c = load_u32(block + 12);
  const uint32_t words[4] = {a & 0x3f3f3f3fu, (c & 0x0f0f0f0fu) | (a >> 6 & 0x03030303u) << 4,
                             b & 0x3f3f3f3fu, (c >> 4 & 0x0f0f0f0fu) | (b >> 6 & 0x03030303u) << 4};
  uint8_t codes[16];
  std::memcpy(codes, words, sizeof codes);
  scale_codes(half_at(block), codes, 8, scale);
  scale_codes(-half_at(block + 2), codes + 8, 8, offset);
}

// Then 128 bytes of levels: byte 32 q + i holds columns 64 q + i and 64 q + 32 + i.
void unpack_q4_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 144) {
    unpack_scales6(block, out->scale + c / 32, out->offset + c / 32);
    for (size_t q = 0; q < 4; ++q) {
      each_vector([&](size_t i) HWY_ATTR {
        const B v = load(block + 16 + 32 * q + i);
        uint8_t* level = out->level + c + static_cast<int64_t>(64 * q + i);
        store(hn::And(v, splat(15)), level);
        store(hn::ShiftRight<4>(v), level + 32);
      });
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the levels: bit g of byte i is column 32 g + i.
void unpack_q5_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 176) {
    unpack_scales6(block, out->scale + c / 32, out->offset + c / 32);
    each_vector([&](size_t i) HWY_ATTR {
      const B high = load(block + 16 + i);
      for (size_t q = 0; q < 4; ++q) {
        const B v = load(block + 48 + 32 * q + i);
        uint8_t* level = out->level + c + static_cast<int64_t>(64 * q + i);
        const auto fifth = [&](size_t bit) HWY_ATTR {
          return hn::IfThenElseZero(hn::TestBit(high, splat(1 << bit)), splat(16));
        };
        store(hn::Or(hn::And(v, splat(15)), fifth(2 * q)), level);
        store(hn::Or(hn::ShiftRight<4>(v), fifth(2 * q + 1)), level + 32);
      }
    });
  }
}

// 128 bytes of low bits, 64 bytes of high bits, 16 signed bytes of codes, f16 d. Level + 32 of
// column 128 h + 32 j + i: low four bits in byte 64 h + 32 (j & 1) + i, half j >> 1; high two at
// bits 2 j of byte 32 h + i.
void unpack_q6_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 210) {
    scale_codes(half_at(block + 208), reinterpret_cast<const int8_t*>(block + 192), 16,
                out->scale + c / 16);
    for (size_t h = 0; h < 2; ++h) {
      each_vector([&](size_t i) HWY_ATTR {
        const B even = load(block + 64 * h + i), odd = load(block + 64 * h + 32 + i);
        const B high = load(block + 128 + 32 * h + i);
        uint8_t* level = out->level + c + static_cast<int64_t>(128 * h + i);
        const B low_mask = splat(15), high_mask = splat(48);
        const auto put = [&](size_t j, B low, B bits) HWY_ATTR {
          store(hn::Or(low, hn::And(bits, high_mask)), level + 32 * j);
        };
        put(0, hn::And(even, low_mask), hn::ShiftLeft<4>(high));
        put(1, hn::And(odd, low_mask), hn::ShiftLeft<2>(high));
        put(2, hn::ShiftRight<4>(even), high);
        put(3, hn::ShiftRight<4>(odd), hn::ShiftRight<2>(high));
      });
    }
  }
}

const Unpacker kUnpackers[] = {
    {"simd", CodecId::kQ2_K, {32, 16, 0, 45}, unpack_q2_k},
    {"simd", CodecId::kQ3_K, kQ3Form, unpack_q3_k},
    {"simd", CodecId::kQ4_K, {32, 32, 0, 15}, unpack_q4_k},
    {"simd", CodecId::kQ5_K, {32, 32, 0, 31}, unpack_q5_k},
    {"simd", CodecId::kQ6_K, {16, 0, 32, 63}, unpack_q6_k},
};
std::span<const Unpacker> k_unpackers() { return kUnpackers; }

#endif  // a target with vectors
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
PARE_CHOOSE_UNPACKERS(k_unpackers)
}  // namespace pare
#endif  // HWY_ONCE

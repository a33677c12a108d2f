// Unpackers of the formats of one and two bits with long blocks.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unpack_small.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/unpack-inl.h"
#include "kernels/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

// The trits of `kCount` vectors: a byte is a fraction in 1/256, and what three times it brings
// over the binary point is the next trit. out[t * stride + i].
template <int kTrits, class D>
HWY_INLINE void store_trits(D d, const uint8_t* in, size_t stride, uint8_t* out) {
  auto fraction = hn::LoadU(d, in);
  const auto one = hn::Set(d, 1);
  for (size_t t = 0; t < kTrits; ++t) {
    const auto above = [&](int limit) HWY_ATTR {
      return hn::IfThenElseZero(hn::Gt(fraction, hn::Set(d, static_cast<uint8_t>(limit))), one);
    };
    hn::StoreU(hn::Add(above(85), above(170)), d, out + t * stride);
    fraction = hn::Add(fraction, hn::Add(fraction, fraction));
  }
}

// 32 bytes of five trits 32 columns apart, 16 of five 16 apart, 4 of four 4 apart; f16 d.
void unpack_tq1_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 54) {
    uint8_t* level = out->level + c;
    each_vector([&](size_t i) HWY_ATTR { store_trits<5>(Bytes(), block + i, 32, level + i); });
    store_trits<5>(Bytes16(), block + 32, 16, level + 160);
    store_trits<4>(hn::FixedTag<uint8_t, 4>(), block + 48, 4, level + 240);
    fill(half_at(block + 52), 8, out->scale + c / 32);
  }
}

// Bits 2 j and 2 j + 1 of byte 32 h + i are column 128 h + 32 j + i; f16 d behind them.
void unpack_tq2_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  const B three = splat(3);
  for (int64_t c = 0; c < columns; c += 256, block += 66) {
    for (size_t h = 0; h < 2; ++h) {
      each_vector([&](size_t i) HWY_ATTR {
        const B v = load(block + 32 * h + i);
        uint8_t* level = out->level + c + static_cast<int64_t>(128 * h + i);
        store(hn::And(v, three), level);
        store(hn::And(hn::ShiftRight<2>(v), three), level + 32);
        store(hn::And(hn::ShiftRight<4>(v), three), level + 64);
        store(hn::ShiftRight<6>(v), level + 96);
      });
    }
    fill(half_at(block + 64), 8, out->scale + c / 32);
  }
}

// f16 d, a bit per column: 0 is -1, 1 is 1.
void unpack_q1_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 128, block += 18) {
    for (size_t g = 0; g < 4; ++g) {
      each_vector([&](size_t i) HWY_ATTR {
        store(where_set(block + 2 + 4 * g + i / 8, 2),
              out->level + c + static_cast<int64_t>(32 * g + i));
      });
    }
    fill(half_at(block), 4, out->scale + c / 32);
  }
}

// f16 d, two bits per column, four columns a byte.
void unpack_q2_0(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const hn::CappedTag<uint32_t, 8> d32;
  const hn::Rebind<uint8_t, decltype(d32)> d8;
  const hn::Repartition<uint8_t, decltype(d32)> bytes;
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 64, block += 18) {
    for (size_t i = 0; i < 16; i += hn::Lanes(d32)) {
      const auto b = hn::PromoteTo(d32, hn::LoadU(d8, block + 2 + i));
      const auto spread = hn::Or(hn::Or(b, hn::ShiftLeft<6>(b)),
                                 hn::Or(hn::ShiftLeft<12>(b), hn::ShiftLeft<18>(b)));
      const auto levels = hn::And(spread, hn::Set(d32, 0x03030303u));
      hn::StoreU(hn::BitCast(bytes, levels), bytes, out->level + c + static_cast<int64_t>(4 * i));
    }
    const float d = half_at(block);
    out->scale[c / 32] = out->scale[c / 32 + 1] = d;
  }
}

const Unpacker kUnpackers[] = {
    {"simd", CodecId::kTQ1_0, {32, 0, 1, 2}, unpack_tq1_0},
    {"simd", CodecId::kTQ2_0, {32, 0, 1, 3}, unpack_tq2_0},
    {"simd", CodecId::kQ1_0, {32, 0, 1, 2}, unpack_q1_0},
    {"simd", CodecId::kQ2_0, {32, 0, 1, 3}, unpack_q2_0},
};
std::span<const Unpacker> small_unpackers() { return kUnpackers; }

#endif  // a target with vectors
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
PARE_CHOOSE_UNPACKERS(small_unpackers)
}  // namespace pare
#endif  // HWY_ONCE

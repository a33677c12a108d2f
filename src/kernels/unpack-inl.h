// Per-target helpers of the unpackers. Included once per SIMD target (foreach_target.h).
#include <hwy/highway.h>

// The usual guard of a per-target header.
#if defined(PARE_KERNELS_UNPACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_KERNELS_UNPACK_INL_H_
#undef PARE_KERNELS_UNPACK_INL_H_
#else
#define PARE_KERNELS_UNPACK_INL_H_
#endif

#include <cstring>

#include "base/half.h"
#include "kernels/planar.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

// Bytes are worked on in runs of 32, a vector or two of 16 at a time; nibbles in runs of 16.
using Bytes = hn::CappedTag<uint8_t, 32>;
using Bytes16 = hn::FixedTag<uint8_t, 16>;
using Floats = hn::CappedTag<float, 16>;
using B = hn::Vec<Bytes>;
using B16 = hn::Vec<Bytes16>;

// body(i) with the first byte of each vector of 32 bytes.
template <class Body>
HWY_INLINE void each_vector(const Body& body) {
  for (size_t i = 0; i < 32; i += hn::Lanes(Bytes())) body(i);
}

HWY_INLINE B splat(int v) { return hn::Set(Bytes(), static_cast<uint8_t>(v)); }
HWY_INLINE B load(const uint8_t* p) { return hn::LoadU(Bytes(), p); }
HWY_INLINE void store(B v, uint8_t* p) { hn::StoreU(v, Bytes(), p); }

// `v` in the lanes whose bit is set, else 0; bits: one per lane, lowest first.
HWY_INLINE B where_set(const uint8_t* bits, int v) {
  return hn::IfThenElseZero(hn::LoadMaskBits(Bytes(), bits), splat(v));
}

// 16 bytes of two levels each: out[j] from the low half of byte j, out[distance + j] from the
// high half.
HWY_INLINE void store_nibbles(const uint8_t* in, size_t distance, uint8_t* out) {
  const Bytes16 d;
  const B16 v = hn::LoadU(d, in);
  hn::StoreU(hn::And(v, hn::Set(d, 15)), d, out);
  hn::StoreU(hn::ShiftRight<4>(v), d, out + distance);
}

// The same through a table of 16 levels.
HWY_INLINE void store_nibbles_of(B16 table, const uint8_t* in, uint8_t* out) {
  const Bytes16 d;
  const B16 v = hn::LoadU(d, in);
  hn::StoreU(hn::TableLookupBytes(table, hn::And(v, hn::Set(d, 15))), d, out);
  hn::StoreU(hn::TableLookupBytes(table, hn::ShiftRight<4>(v)), d, out + 16);
}

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint64_t load_u64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// The binary16 fields of a piece's blocks, collected first and converted together.
struct Halves {
  alignas(64) uint16_t v[kPieceColumns / 32 + 32];

  HWY_INLINE void to_floats(size_t n, float* out) const {
    const hn::Rebind<hwy::float16_t, Floats> dh;
    for (size_t i = 0; i < n; i += hn::Lanes(Floats())) {
      const auto halves = hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(v + i));
      hn::StoreU(hn::PromoteTo(Floats(), halves), Floats(), out + i);
    }
  }
};

// One binary16 number.
HWY_INLINE float half_at(const uint8_t* p) {
  const hn::FixedTag<float, 4> d;
  const hn::Rebind<hwy::float16_t, hn::FixedTag<float, 4>> dh;
  alignas(16) uint16_t h[8] = {load_u16(p)};
  return hn::GetLane(hn::PromoteTo(d, hn::Load(dh, reinterpret_cast<hwy::float16_t*>(h))));
}

// out[g] = factor * codes[g] for n = 8 or 16 bytes.
template <class Code>
HWY_INLINE void scale_codes(float factor, const Code* codes, size_t n, float* out) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<Code, decltype(d)> dc;
  const auto f = hn::Set(d, factor);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto level = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(dc, codes + i)));
    hn::StoreU(hn::Mul(f, level), d, out + i);
  }
}

// out[0, n) = v, n a multiple of 4.
HWY_INLINE void fill(float v, size_t n, float* out) {
  const hn::FixedTag<float, 4> d;
  for (size_t i = 0; i < n; i += 4) hn::StoreU(hn::Set(d, v), d, out + i);
}

#endif  // a target with vectors

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#endif  // per-target guard

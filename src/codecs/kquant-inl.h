// Per-target helpers of the K-quant kernels. Included once per SIMD target (foreach_target.h).
#include <hwy/highway.h>

// The usual guard of a per-target header.
#if defined(PARE_CODECS_KQUANT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_CODECS_KQUANT_INL_H_
#undef PARE_CODECS_KQUANT_INL_H_
#else
#define PARE_CODECS_KQUANT_INL_H_
#endif

#include "codecs/kquant.h"
#include "codecs/kquant_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that a tile's 16 lanes are a whole number of vectors.
using Floats = hn::CappedTag<float, kLanes>;
using V = hn::Vec<Floats>;
using M = hn::Mask<Floats>;

HWY_INLINE V set(float v) { return hn::Set(Floats(), v); }
HWY_INLINE V clamp(V v, V lo, V hi) { return hn::Min(hn::Max(v, lo), hi); }
HWY_INLINE V square(V v) { return hn::Mul(v, v); }

// numerator / v, and 0 where v is 0.
HWY_INLINE V divide(V numerator, V v) {
  const M is_zero = hn::Eq(v, set(0.0f));
  return hn::IfThenElse(is_zero, set(0.0f),
                        hn::Div(numerator, hn::IfThenElse(is_zero, set(1.0f), v)));
}

// Adds the two lanes of a group of 32; a group of 16 is one lane.
template <bool kPairs>
HWY_INLINE V fold(V v) {
  if constexpr (kPairs) return hn::Add(v, hn::Reverse2(Floats(), v));
  return v;
}

// v rounded to the nearest f16 (ties to even); `tiny` is f16's quantum near zero, 2^-24, in the
// tile's units. The upper end of f16 is not looked at.
HWY_INLINE V round_to_half(V v, V tiny) {
  const Floats d;
  const hn::RebindToUnsigned<Floats> du;
  const auto exponent = hn::And(hn::BitCast(du, v), hn::Set(du, 0x7f800000u));
  const V quantum = hn::Max(hn::Mul(hn::BitCast(d, exponent), set(0x1p-10f)), tiny);
  return hn::Mul(hn::Round(hn::Div(v, quantum)), quantum);
}

// Levels that are the integers in [lo, hi].
struct EvenRounder {
  V lo, hi;
  HWY_INLINE V level(V y) const { return clamp(hn::Round(y), lo, hi); }
};

// Levels from IQ4_NL's table. A cell of width 8 holds at most one of the 15 borders between
// levels: the cell's number gives the border and the levels on its two sides.
struct TableRounder {
  HWY_INLINE V level(V y) const { return pick(y, kCells.below, kCells.above); }
  HWY_INLINE V index(V y) const { return pick(y, kCells.index_below, kCells.index_above); }

 private:
  static HWY_INLINE V look_up(const float* table, hn::Vec<hn::RebindToSigned<Floats>> cell) {
    const Floats d;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    return V{_mm512_permutex2var_ps(hn::Load(d, table).raw, cell.raw, hn::Load(d, table + 16).raw)};
#else
    return hn::GatherIndex(d, table, cell);
#endif
  }

  static HWY_INLINE V pick(V y, const float* below, const float* above) {
    const hn::RebindToSigned<Floats> di;
    const V in_cells = hn::Mul(hn::Add(y, set(128.0f)), set(0.125f));
    const auto cell = hn::ConvertTo(di, clamp(in_cells, set(0.0f), set(31.0f)));
    const M up = hn::Gt(y, look_up(kCells.border, cell));
    return hn::IfThenElse(up, look_up(above, cell), look_up(below, cell));
  }
};

// Sums over a group of one rounding pass: of w l, w l^2, w l x, and w (y - l)^2 with
// y = (x - offset) / scale.
struct Sums {
  V l, ll, lx, residual;
};

template <bool kPairs, class Rounder>
HWY_INLINE Sums accumulate(const Tile& tile, size_t lane, const Rounder& rounder, V inv, V offset) {
  const Floats d;
  Sums s{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (size_t i = 0; i < kLanes; ++i) {
    const V x = hn::Load(d, tile.x + i * kLanes + lane);
    const V w = hn::Load(d, tile.w + i * kLanes + lane);
    const V y = hn::Mul(hn::Sub(x, offset), inv);
    const V l = rounder.level(y);
    const V wl = hn::Mul(w, l);
    s.l = hn::Add(s.l, wl);
    s.ll = hn::Add(s.ll, hn::Mul(wl, l));
    s.lx = hn::Add(s.lx, hn::Mul(wl, x));
    s.residual = hn::Add(s.residual, hn::Mul(w, square(hn::Sub(y, l))));
  }
  s.l = fold<kPairs>(s.l);
  s.ll = fold<kPairs>(s.ll);
  s.lx = fold<kPairs>(s.lx);
  s.residual = fold<kPairs>(s.residual);
  return s;
}

// The super-scale d (an f16, in the tile's units) for which integers c in [min_code, max_code]
// give the smallest sum of curvature * (target - d c)^2. Tries the d that put the target
// `extreme` between `end_code` (one of the two bounds) half a code out and 1 - depth of it.
HWY_INLINE float scan_super_scale(const float* target, const float* curvature, float extreme,
                                  float end_code, float min_code, float max_code, float depth,
                                  V tiny) {
  constexpr size_t kCandidates = 32;
  const Floats d;
  const float outermost = end_code < 0.0f ? end_code - 0.5f : end_code + 0.5f;
  const V step = set(end_code * (depth / static_cast<float>(kCandidates)));
  alignas(64) float scale[kCandidates], error[kCandidates];
  for (size_t k = 0; k < kCandidates; k += hn::Lanes(d)) {
    const V number = hn::Iota(d, static_cast<float>(k));
    const V code = hn::Sub(set(outermost), hn::Mul(number, step));
    const V s = round_to_half(hn::Div(set(extreme), code), tiny);
    const V inv = divide(set(1.0f), s);
    V sum = hn::Zero(d);
    for (size_t g = 0; g < kLanes; ++g) {
      const V want = set(target[g]);
      const V c = clamp(hn::Round(hn::Mul(want, inv)), set(min_code), set(max_code));
      sum = hn::Add(sum, hn::Mul(set(curvature[g]), square(hn::Sub(want, hn::Mul(s, c)))));
    }
    hn::Store(s, d, scale + k);
    hn::Store(sum, d, error + k);
  }
  size_t best = 0;
  for (size_t k = 1; k < kCandidates; ++k) {
    if (error[k] < error[best]) best = k;
  }
  return scale[best];
}

}  // namespace HWY_NAMESPACE
}  // namespace pare::kquant
HWY_AFTER_NAMESPACE();

#endif  // per-target guard

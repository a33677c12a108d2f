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
HWY_INLINE V load(const LaneValues& values, size_t lane) {
  return hn::Load(Floats(), values.v + lane);
}
HWY_INLINE void store(V v, size_t lane, LaneValues* values) {
  hn::Store(v, Floats(), values->v + lane);
}
HWY_INLINE V clamp(V v, V lo, V hi) { return hn::Min(hn::Max(v, lo), hi); }
HWY_INLINE V square(V v) { return hn::Mul(v, v); }

// numerator / v, and 0 where v is 0.
HWY_INLINE V divide(V numerator, V v) {
  const M is_zero = hn::Eq(v, set(0.0f));
  return hn::IfThenElse(is_zero, set(0.0f),
                        hn::Div(numerator, hn::IfThenElse(is_zero, set(1.0f), v)));
}

// Calls body(lane) with the first lane of each vector of a tile.
template <class Body>
HWY_INLINE void for_each_vector(const Body& body) {
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(Floats())) body(lane);
}

// A group of 16 columns is one lane, a group of 32 is two neighbours. On the target without
// vectors the neighbour is reached by running its lane as well.
constexpr bool kOneLane = HWY_TARGET == HWY_SCALAR;
HWY_INLINE V neighbour(V v) { return hn::Reverse2(Floats(), v); }

// What of a group does not depend on levels: sums of w, w x, w x^2, and the bounds of zero and
// its columns. A column that weighs less than 1 / trust of the group's mean counts for the bounds
// in proportion: it is better clipped than let to stretch the grids that the search starts from.
// The more levels, the less clipping pays.
struct Moments {
  V w, x, xx, lo, hi;
};
HWY_INLINE float trust_for(float levels) { return std::max(16.0f, levels * levels / 16.0f); }

template <bool kPairs>
HWY_INLINE Moments moments(const Tile& tile, size_t first, float trust) {
  const Floats d;
  const V zero = hn::Zero(d), one = set(1.0f);
  const auto add = [&](size_t lane, Moments* m) HWY_ATTR {
    for (size_t i = 0; i < kLanes; ++i) {
      const V x = hn::Load(d, tile.x + i * kLanes + lane);
      const V w = hn::Load(d, tile.w + i * kLanes + lane);
      const V wx = hn::Mul(w, x);
      m->w = hn::Add(m->w, w);
      m->x = hn::Add(m->x, wx);
      m->xx = hn::Add(m->xx, hn::Mul(wx, x));
    }
  };
  const auto bound = [&](size_t lane, V per_mean, Moments* m) HWY_ATTR {
    for (size_t i = 0; i < kLanes; ++i) {
      const V w = hn::Load(d, tile.w + i * kLanes + lane);
      const V x =
          hn::Mul(hn::Load(d, tile.x + i * kLanes + lane), hn::Min(one, hn::Mul(w, per_mean)));
      m->lo = hn::Min(m->lo, x);
      m->hi = hn::Max(m->hi, x);
    }
  };
  Moments m{zero, zero, zero, zero, zero};
  add(first, &m);
  if constexpr (kPairs) {
    Moments n{neighbour(m.w), neighbour(m.x), neighbour(m.xx), zero, zero};
    if constexpr (kOneLane) {
      n = {zero, zero, zero, zero, zero};
      add(first ^ 1, &n);
    }
    m = {hn::Add(m.w, n.w), hn::Add(m.x, n.x), hn::Add(m.xx, n.xx), zero, zero};
  }
  const V per_mean = hn::Div(set(trust * static_cast<float>(kPairs ? 2 * kLanes : kLanes)), m.w);
  bound(first, per_mean, &m);
  if constexpr (kPairs) {
    if constexpr (kOneLane) bound(first ^ 1, per_mean, &m);
    m.lo = hn::Min(m.lo, neighbour(m.lo));
    m.hi = hn::Max(m.hi, neighbour(m.hi));
  }
  return m;
}

// A tile from the first n columns (n a multiple of 16), the rest zero; importance null: ones.
HWY_INLINE void load_tile(const float* HWY_RESTRICT x, const float* HWY_RESTRICT importance,
                          size_t n, Tile* HWY_RESTRICT tile) {
  const Floats d;
  const auto unit_of = [&](const float* values, int* exponent) HWY_ATTR {
    V most = hn::Zero(d);
    for (size_t i = 0; i < n; i += hn::Lanes(d)) {
      most = hn::Max(most, hn::Abs(hn::LoadU(d, values + i)));
    }
    *exponent = exponent_of(hn::GetLane(hn::MaxOfLanes(d, most)));
    return power_of_two(-*exponent);
  };
  const size_t lanes = n / kLanes;
  const float unit = unit_of(x, &tile->exponent);
  for (size_t i = 0; i < kLanes; ++i) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      tile->x[i * kLanes + lane] = x[lane * kLanes + i] * unit;
    }
    for (size_t lane = lanes; lane < kLanes; ++lane) tile->x[i * kLanes + lane] = 0.0f;
  }
  std::fill(tile->w, tile->w + kLanes * kLanes, 1.0f);
  if (importance == nullptr) return;
  int exponent;
  const float w_unit = unit_of(importance, &exponent);
  for (size_t i = 0; i < kLanes; ++i) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      tile->w[i * kLanes + lane] = importance[lane * kLanes + i] * w_unit + 0x1p-24f;
    }
  }
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

// Never 0, by which 0 would be divided.
HWY_INLINE V half_quantum(const Tile& tile) {
  return set(std::max(0x1p-24f * power_of_two(-tile.exponent), 0x1p-126f));
}

// Levels that are the integers in [lo, hi].
struct EvenRounder {
  V lo, hi;
  HWY_INLINE V level(V y) const { return clamp(hn::Round(y), lo, hi); }
};

// Levels from IQ4_NL's table. A cell of width 8 holds at most one of the 15 borders between
// levels, which lies half way between the levels of its two ends.
struct TableRounder {
  HWY_INLINE V level(V y) const {
    V below, above;
    ends(y, &below, &above);
    return hn::IfThenElse(over_border(y, below, above), above, below);
  }

  HWY_INLINE V index(V y) const {
    V below, above;
    ends(y, &below, &above);
    const V first = hn::ConvertTo(Floats(), hn::GatherIndex(Ints(), kCells.index, cell(y)));
    const M up = hn::And(over_border(y, below, above), hn::Gt(above, below));
    return hn::Add(first, hn::IfThenElseZero(up, set(1.0f)));
  }

 private:
  using Ints = hn::RebindToSigned<Floats>;

  static HWY_INLINE M over_border(V y, V below, V above) {
    return hn::Gt(hn::Add(y, y), hn::Add(below, above));
  }

  static HWY_INLINE hn::Vec<Ints> cell(V y) {
    const V in_cells = hn::Mul(hn::Add(y, set(128.0f)), set(0.125f));
    return hn::ConvertTo(Ints(), clamp(in_cells, set(0.0f), set(31.0f)));
  }

  // The levels of the ends of y's cell.
  static HWY_INLINE void ends(V y, V* below, V* above) {
    const Floats d;
    [[maybe_unused]] const Ints di;
    const hn::Vec<Ints> c = cell(y);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    const auto look_up = [&](const float* table) HWY_ATTR {
      return V{
          _mm512_permutex2var_ps(hn::LoadU(d, table).raw, c.raw, hn::LoadU(d, table + 16).raw)};
    };
    *below = look_up(kCells.level);
    *above = look_up(kCells.level + 1);
#elif HWY_TARGET == HWY_SCALAR
    *below = hn::GatherIndex(d, kCells.level, c);
    *above = hn::GatherIndex(d, kCells.level + 1, c);
#else
    // Two tables of 16 bytes. Bytes 1 and 3 of a lane look up the cell and the next; a byte with
    // its highest bit set looks up 0, so that adding 112 or 240 leaves each table its own cells
    // (other bits above the lowest four count on some CPUs and are taken away). The last cell has
    // no border: its own level stands for the next one's.
    const hn::Repartition<int8_t, Floats> di8;
    const auto next = hn::Min(hn::Add(c, hn::Set(di, 1)), hn::Set(di, 31));
    const auto bytes = hn::Or(hn::ShiftLeft<8>(c), hn::ShiftLeft<24>(next));
    const auto in_table = [&](const int8_t* table, uint32_t mark) HWY_ATTR {
      const auto marked = hn::Add(bytes, hn::Set(di, static_cast<int32_t>(mark << 8 | mark << 24)));
      const auto index = hn::And(hn::BitCast(di8, marked), hn::Set(di8, static_cast<int8_t>(0x8f)));
      return hn::BitCast(di, hn::TableLookupBytesOr0(hn::LoadDup128(di8, table), index));
    };
    const auto found = hn::Or(in_table(kCells.bytes, 0x70), in_table(kCells.bytes + 16, 0xf0));
    *below = hn::ConvertTo(d, hn::ShiftRight<24>(hn::ShiftLeft<16>(found)));
    *above = hn::ConvertTo(d, hn::ShiftRight<24>(found));
#endif
  }
};

// Sums over a group of one rounding pass: of w l, w l^2, w l x, and w (y - l)^2 with
// y = (x - offset) inv.
struct Sums {
  V l, ll, lx, residual;
};

template <bool kPairs, class Rounder>
HWY_INLINE Sums accumulate(const Tile& tile, size_t first, const Rounder& rounder, V inv,
                           V offset) {
  const Floats d;
  const auto plus = [](const Sums& a, const Sums& b) HWY_ATTR {
    return Sums{hn::Add(a.l, b.l), hn::Add(a.ll, b.ll), hn::Add(a.lx, b.lx),
                hn::Add(a.residual, b.residual)};
  };
  const auto run = [&](size_t lane) HWY_ATTR {
    const auto at = [&](size_t i) HWY_ATTR {
      const V x = hn::Load(d, tile.x + i * kLanes + lane);
      const V w = hn::Load(d, tile.w + i * kLanes + lane);
      const V y = hn::Mul(hn::Sub(x, offset), inv);
      const V l = rounder.level(y);
      const V wl = hn::Mul(w, l);
      return Sums{wl, hn::Mul(wl, l), hn::Mul(wl, x), hn::Mul(w, square(hn::Sub(y, l)))};
    };
    Sums even = at(0), odd = at(1);
    // Unrolled further, the compiler runs out of registers.
    HWY_UNROLL(1)
    for (size_t i = 2; i < kLanes; i += 2) {
      even = plus(even, at(i));
      odd = plus(odd, at(i + 1));
    }
    return plus(even, odd);
  };
  const Sums s = run(first);
  if constexpr (!kPairs) return s;
  return plus(
      s, kOneLane ? run(first ^ 1)
                  : Sums{neighbour(s.l), neighbour(s.ll), neighbour(s.lx), neighbour(s.residual)});
}

// The super-scale d (an f16, in the tile's units) for which integers c in [min_code, max_code]
// give the smallest sum of curvature * (target - d c)^2. Tries the d that put the target
// `extreme` between `end_code` (one of the two bounds) half a code out and 1 - depth of it.
template <bool kPairs>
HWY_INLINE float scan_super_scale(const LaneValues& target, const LaneValues& curvature,
                                  float extreme, float end_code, float min_code, float max_code,
                                  float depth, V tiny) {
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
    for (size_t g = 0; g < kLanes; g += kPairs ? 2 : 1) {
      const V want = set(target.v[g]);
      const V c = clamp(hn::Round(hn::Mul(want, inv)), set(min_code), set(max_code));
      sum = hn::Add(sum, hn::Mul(set(curvature.v[g]), square(hn::Sub(want, hn::Mul(s, c)))));
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

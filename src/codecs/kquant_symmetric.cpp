// Fits formats without minima: Q3_K, Q6_K (even levels), IQ4_XS and IQ4_NL (levels of a table).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kquant_symmetric.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "codecs/kquant-inl.h"
#include "codecs/kquant.h"
#include "codecs/kquant_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

// What is known of each lane's group: its best own scale, and the sums that make the error of
// a scale s (for the levels of that scale) xx - 2 s lx + s^2 ll.
struct GroupFits {
  LaneValues scale, ll;
};

// The scale of each group on its own. Start scales put the column of the largest magnitude on
// the lowest level or on the highest, or further out (the rest is clipped); least squares
// refines each; two rounds of re-rounding polish the best.
template <bool kPairs, class Rounder>
HWY_INLINE void fit_groups(const Tile& tile, const Rounder& rounder, float lowest, float highest,
                           const float* outer, int outer_count, GroupFits* fits) {
  const Floats d;
  const V zero = hn::Zero(d);
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    V lo = zero, hi = zero;
    for (size_t i = 0; i < kLanes; ++i) {
      const V x = hn::Load(d, tile.x + i * kLanes + lane);
      lo = hn::Min(lo, x);
      hi = hn::Max(hi, x);
    }
    if constexpr (kPairs) {
      lo = hn::Min(lo, hn::Reverse2(d, lo));
      hi = hn::Max(hi, hn::Reverse2(d, hi));
    }
    const V extreme = hn::IfThenElse(hn::Gt(hi, hn::Neg(lo)), hi, lo);
    const V unit = divide(set(1.0f), extreme);
    V best_gain = set(-1.0f), best_scale = zero, best_ll = zero;
    const auto consider = [&](V inv) {
      const Sums s = accumulate<kPairs>(tile, lane, rounder, inv, zero);
      const V scale = divide(s.lx, s.ll);
      const V gain = hn::Mul(scale, s.lx);
      const M better = hn::Gt(gain, best_gain);
      best_gain = hn::IfThenElse(better, gain, best_gain);
      best_scale = hn::IfThenElse(better, scale, best_scale);
      best_ll = hn::IfThenElse(better, s.ll, best_ll);
    };
    for (int k = 0; k < outer_count; ++k) {
      consider(hn::Mul(set(lowest * outer[k]), unit));
      consider(hn::Mul(set(highest * outer[k]), unit));
    }
    for (int round = 0; round < 2; ++round) consider(divide(set(1.0f), best_scale));
    hn::Store(best_scale, d, fits->scale.v + lane);
    hn::Store(best_ll, d, fits->ll.v + lane);
  }
}

// A state of the stored numbers and what it costs.
struct State {
  float d = 0.0f;
  LaneValues code;
  LaneValues error;  // per lane: its group's
  float total = 0.0f;
};

// Rounds to the state's levels: sets its errors, and the sums for its levels.
template <bool kPairs, class Rounder>
HWY_INLINE void judge(const Tile& tile, const Rounder& rounder, const LaneValues& xx, State* state,
                      LaneValues* lx, LaneValues* ll) {
  const Floats d;
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const V scale = hn::Mul(set(state->d), hn::Load(d, state->code.v + lane));
    const Sums s = accumulate<kPairs>(tile, lane, rounder, divide(set(1.0f), scale), hn::Zero(d));
    const V error = hn::IfThenElse(hn::Eq(scale, hn::Zero(d)), hn::Load(d, xx.v + lane),
                                   hn::Mul(square(scale), s.residual));
    hn::Store(error, d, state->error.v + lane);
    hn::Store(s.lx, d, lx->v + lane);
    hn::Store(s.ll, d, ll->v + lane);
  }
  state->total = state->error.sum();
}

template <bool kPairs, class Rounder>
HWY_INLINE void fit_super(const Tile& tile, const Rounder& rounder, const GroupFits& fits,
                          float min_code, State* best) {
  const Floats d;
  const float max_code = -min_code - 1.0f;
  const V tiny = set(std::ldexp(0x1p-24f, -tile.exponent));
  LaneValues xx;
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    V sum = hn::Zero(d);
    for (size_t i = 0; i < kLanes; ++i) {
      const V x = hn::Load(d, tile.x + i * kLanes + lane);
      sum = hn::Add(sum, hn::Mul(hn::Load(d, tile.w + i * kLanes + lane), square(x)));
    }
    hn::Store(fold<kPairs>(sum), d, xx.v + lane);
  }

  float extreme = 0.0f;
  for (float s : fits.scale.v) {
    if (std::fabs(s) > std::fabs(extreme)) extreme = s;
  }
  State state;
  state.d =
      scan_super_scale(fits.scale.v, fits.ll.v, extreme, min_code, min_code, max_code, 0.2f, tiny);
  LaneValues target = fits.scale, lx, ll;
  const auto choose_codes = [&] {
    for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
      const V c = hn::Round(divide(hn::Load(d, target.v + lane), set(state.d)));
      hn::Store(clamp(c, set(min_code), set(max_code)), d, state.code.v + lane);
    }
  };
  state.d = from_stored(tile, to_stored(tile, state.d));
  choose_codes();
  for (int round = 0; round < 3; ++round) {
    judge<kPairs>(tile, rounder, xx, &state, &lx, &ll);
    if (round == 0 || state.total < best->total) *best = state;
    // For these levels: the best d for the codes, then the best codes for d.
    float c_lx = 0.0f, cc_ll = 0.0f;
    for (size_t g = 0; g < kLanes; ++g) {
      const float c = state.code.v[g];
      c_lx += c * lx.v[g];
      cc_ll += c * c * ll.v[g];
      target.v[g] = ll.v[g] > 0.0f ? lx.v[g] / ll.v[g] : 0.0f;
    }
    if (!(cc_ll > 0.0f)) break;
    state.d = from_stored(tile, to_stored(tile, c_lx / cc_ll));
    choose_codes();
  }
  // Each group's neighbouring codes, by the error that they really have.
  for (const float delta : {-1.0f, 1.0f}) {
    state = *best;
    for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
      const V c = hn::Add(hn::Load(d, state.code.v + lane), set(delta));
      hn::Store(clamp(c, set(min_code), set(max_code)), d, state.code.v + lane);
    }
    judge<kPairs>(tile, rounder, xx, &state, &lx, &ll);
    for (size_t g = 0; g < kLanes; ++g) {
      if (state.error.v[g] < best->error.v[g]) {
        best->error.v[g] = state.error.v[g];
        best->code.v[g] = state.code.v[g];
      }
    }
    best->total = best->error.sum();
  }
}

template <bool kPairs, class Rounder>
HWY_INLINE void fit(const Tile& tile, const Rounder& rounder, float lowest, float highest,
                    float min_code, const float* outer, int outer_count, SpanParams* params) {
  GroupFits fits;
  fit_groups<kPairs>(tile, rounder, lowest, highest, outer, outer_count, &fits);
  State best;
  fit_super<kPairs>(tile, rounder, fits, min_code, &best);
  params->d = to_stored(tile, best.d);
  constexpr size_t kStep = kPairs ? 2 : 1;
  for (size_t g = 0; g < kLanes / kStep; ++g) {
    params->scale_code[g] = static_cast<int16_t>(best.code.v[g * kStep]);
  }
}

constexpr float kEvenOuter[] = {0.9f, 0.95f, 1.0f, 1.05f, 1.1f, 1.15f, 1.2f, 1.3f};
constexpr float kTableOuter[] = {0.9f, 0.95f, 1.0f, 1.05f, 1.1f, 1.15f, 1.2f, 1.3f};

void fit_even(const Tile& tile, const SymmetricFormat& format, SpanParams* params) {
  const float lowest = static_cast<float>(format.min_level);
  const float highest = -lowest - 1.0f;
  fit<false>(tile, EvenRounder{set(lowest), set(highest)}, lowest, highest,
             static_cast<float>(format.min_code), kEvenOuter, 8, params);
}

void fit_table_super(const Tile& tile, SpanParams* params) {
  fit<true>(tile, TableRounder(), -127.0f, 113.0f, -32.0f, kTableOuter, 8, params);
}

void fit_table_groups(const Tile& tile, float* scales) {
  GroupFits fits;
  fit_groups<true>(tile, TableRounder(), -127.0f, 113.0f, kTableOuter, 8, &fits);
  for (size_t g = 0; g < kLanes / 2; ++g) scales[g] = fits.scale.v[2 * g];
}

void round_table(const float* x, const SpanParams& params, int n, int8_t* index) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const hn::Rebind<int8_t, Floats> di8;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int i = 0; i < n; i += lanes) {
    const V inv = divide(set(1.0f), set(params.scale[static_cast<size_t>(i / 32)]));
    const V code = TableRounder().index(hn::Mul(hn::LoadU(d, x + i), inv));
    hn::StoreU(hn::DemoteTo(di8, hn::ConvertTo(di, code)), di8, index + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare::kquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::kquant {

HWY_EXPORT(fit_even);
HWY_EXPORT(fit_table_super);
HWY_EXPORT(fit_table_groups);
HWY_EXPORT(round_table);

void fit_symmetric(const SymmetricFormat& format, const float* x, const float* importance,
                   SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  HWY_DYNAMIC_DISPATCH(fit_even)(tile, format, params);
  expand_symmetric(kTile / format.group_len, params);
}

void fit_table(const float* x, const float* importance, SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  HWY_DYNAMIC_DISPATCH(fit_table_super)(tile, params);
  expand_symmetric(kTile / 32, params);
}

void fit_table_blocks(const float* x, const float* importance, int n, float* d) {
  Tile tile;
  load_tile(x, importance, n, &tile);
  float scales[kLanes / 2];
  HWY_DYNAMIC_DISPATCH(fit_table_groups)(tile, scales);
  for (int b = 0; b < n / 32; ++b) d[b] = to_stored(tile, scales[b]);
}

void round_to_table(const float* x, const SpanParams& params, int n, int8_t* index) {
  HWY_DYNAMIC_DISPATCH(round_table)(x, params, n, index);
}

}  // namespace pare::kquant
#endif  // HWY_ONCE

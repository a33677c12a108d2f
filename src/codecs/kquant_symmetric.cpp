// Fits formats without minima: Q3_K, Q6_K (even levels), IQ4_XS and IQ4_NL (levels of a table).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kquant_symmetric.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <span>

#include "codecs/kquant-inl.h"
#include "codecs/kquant.h"
#include "codecs/kquant_starts.h"
#include "codecs/kquant_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

// Each lane's group fitted on its own: its best scale, the sum of w l^2 for the levels of that
// scale, and that of w x^2.
struct GroupFits {
  LaneValues scale, ll, xx;
};

// A format's levels, and where the search for a group's scale starts.
struct Levels {
  float lowest, highest, count;
  std::span<const float> starts;
};
const Levels kTableLevels = {kTable.front(), kTable.back(), 16.0f, kStartsTable};

template <bool kPairs, class Rounder>
HWY_INLINE void fit_groups(const Tile& tile, const Rounder& rounder, const Levels& levels,
                           GroupFits* fits) {
  const V zero = set(0.0f);
  for_each_vector([&](size_t lane) HWY_ATTR {
    const Moments m = moments<kPairs>(tile, lane, trust_for(levels.count));
    store(m.xx, lane, &fits->xx);
    const V extreme = hn::IfThenElse(hn::Gt(m.hi, hn::Neg(m.lo)), m.hi, m.lo);
    const V unit = divide(set(1.0f), extreme);
    // How much of the error a scale removes, after least squares, is num / den; comparing
    // products spares the divisions.
    V best_num = set(-1.0f), best_den = set(1.0f), best_inv = zero;
    const auto consider = [&](V inv) HWY_ATTR {
      const Sums s = accumulate<kPairs>(tile, lane, rounder, inv, zero);
      const V num = square(s.lx);
      const M better = hn::Gt(hn::Mul(num, best_den), hn::Mul(best_num, s.ll));
      best_num = hn::IfThenElse(better, num, best_num);
      best_den = hn::IfThenElse(better, s.ll, best_den);
      best_inv = hn::IfThenElse(better, inv, best_inv);
    };
    for (const float start : levels.starts) {
      consider(hn::Mul(unit, set(start > 0.0f ? levels.lowest * start : -levels.highest * start)));
    }
    const V near = best_inv;
    for (const float stretch : kStretches) consider(hn::Mul(near, set(stretch)));

    V inv = best_inv, scale = zero;
    Sums s;
    for (int round = 0; round < 3; ++round) {
      s = accumulate<kPairs>(tile, lane, rounder, inv, zero);
      scale = divide(s.lx, s.ll);
      inv = divide(set(1.0f), scale);
    }
    store(scale, lane, &fits->scale);
    store(s.ll, lane, &fits->ll);
  });
}

// A state of the stored numbers, what it costs each lane's group, and the sums for its levels.
struct State {
  float d = 0.0f;
  LaneValues code;
  LaneValues error, ll, lx;
  float total = 0.0f;
};

template <bool kPairs, class Rounder>
class SuperFit {
 public:
  SuperFit(const Tile& tile, const Rounder& rounder, float min_code, const GroupFits& fits)
      : tile_(tile), rounder_(rounder), fits_(fits), min_code_(min_code) {}

  HWY_INLINE State run() {
    State state;
    float extreme = 0.0f;
    for (float s : fits_.scale.v) {
      if (std::fabs(s) > std::fabs(extreme)) extreme = s;
    }
    state.d = stored(scan_super_scale<kPairs>(fits_.scale, fits_.ll, extreme, min_code_, min_code_,
                                              -min_code_ - 1.0f, 0.2f, half_quantum(tile_)));
    for_each_vector([&](size_t lane) HWY_ATTR {
      store(code(divide(load(fits_.scale, lane), set(state.d))), lane, &state.code);
    });
    judge(&state);
    State best = state;
    settle(&best);
    improve(-1.0f, &best);
    improve(1.0f, &best);
    settle(&best);
    return best;
  }

 private:
  HWY_INLINE V code(V wanted) const {
    return clamp(hn::Round(wanted), set(min_code_), set(-min_code_ - 1.0f));
  }

  // Rounds with the state's numbers and sets what follows from the levels.
  HWY_INLINE void judge(State* state) const {
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V scale = hn::Mul(set(state->d), load(state->code, lane));
      const Sums s = accumulate<kPairs>(tile_, lane, rounder_, divide(set(1.0f), scale), set(0.0f));
      const V error = hn::IfThenElse(hn::Eq(scale, set(0.0f)), load(fits_.xx, lane),
                                     hn::Mul(square(scale), s.residual));
      store(error, lane, &state->error);
      store(s.ll, lane, &state->ll);
      store(s.lx, lane, &state->lx);
    });
    state->total = state->error.sum();
  }

  // For the state's levels: the best d for its codes, then the best codes for that d. False if
  // everything is zero.
  HWY_INLINE bool refit(State* state) const {
    LaneValues p, a;
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V c = load(state->code, lane);
      store(hn::Mul(c, load(state->lx, lane)), lane, &p);
      store(hn::Mul(square(c), load(state->ll, lane)), lane, &a);
    });
    const float den = a.sum();
    if (!(den > 0.0f)) return false;
    state->d = stored(p.sum() / den);
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V scale = divide(load(state->lx, lane), load(state->ll, lane));
      store(code(divide(scale, set(state->d))), lane, &state->code);
    });
    return true;
  }

  // Refits everything to the state's levels if that lowers the error.
  HWY_INLINE void settle(State* best) const {
    State state = *best;
    if (!refit(&state)) return;
    judge(&state);
    if (state.total < best->total) *best = state;
  }

  // Moves the code of every group for which that lowers the error.
  HWY_INLINE void improve(float move, State* best) const {
    State other = *best;
    for_each_vector([&](size_t lane) HWY_ATTR {
      store(code(hn::Add(load(best->code, lane), set(move))), lane, &other.code);
    });
    judge(&other);
    for_each_vector([&](size_t lane) HWY_ATTR {
      const M better = hn::Lt(load(other.error, lane), load(best->error, lane));
      const auto take = [&](LaneValues State::*member) HWY_ATTR {
        store(hn::IfThenElse(better, load(other.*member, lane), load(best->*member, lane)), lane,
              &(best->*member));
      };
      take(&State::code);
      take(&State::error);
      take(&State::ll);
      take(&State::lx);
    });
    best->total = best->error.sum();
  }

  HWY_INLINE float stored(float v) const { return from_stored(tile_, to_stored(tile_, v)); }

  const Tile& tile_;
  const Rounder& rounder_;
  const GroupFits& fits_;
  const float min_code_;
};

template <bool kPairs, class Rounder>
HWY_INLINE void fit(const Tile& tile, const Rounder& rounder, const Levels& levels, float min_code,
                    SpanParams* params) {
  GroupFits fits;
  fit_groups<kPairs>(tile, rounder, levels, &fits);
  const State best = SuperFit<kPairs, Rounder>(tile, rounder, min_code, fits).run();
  params->d = to_stored(tile, best.d);
  params->dmin = 0.0f;
  constexpr size_t kStep = kPairs ? 2 : 1;
  for (size_t g = 0; g < kLanes / kStep; ++g) {
    params->scale_code[g] = static_cast<int16_t>(best.code.v[g * kStep]);
    params->offset_code[g] = 0;
  }
}

void fit_even(const SymmetricFormat& format, const float* x, const float* importance,
              SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  const float lowest = static_cast<float>(format.min_level);
  Levels levels{lowest, -lowest - 1.0f, -2.0f * lowest, kStarts6};
  if (format.min_level == -4) levels.starts = kStarts3;
  fit<false>(tile, EvenRounder{set(levels.lowest), set(levels.highest)}, levels,
             static_cast<float>(format.min_code), params);
}

void fit_table_columns(const float* x, const float* importance, SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  fit<true>(tile, TableRounder(), kTableLevels, -32.0f, params);
}

void fit_table_groups(const float* x, const float* importance, size_t n, float* scales) {
  Tile tile;
  load_tile(x, importance, n, &tile);
  GroupFits fits;
  fit_groups<true>(tile, TableRounder(), kTableLevels, &fits);
  for (size_t g = 0; g < n / 32; ++g) scales[g] = to_stored(tile, fits.scale.v[2 * g]);
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
HWY_EXPORT(fit_table_columns);
HWY_EXPORT(fit_table_groups);
HWY_EXPORT(round_table);

void fit_symmetric(const SymmetricFormat& format, const float* x, const float* importance,
                   SpanParams* params) {
  HWY_DYNAMIC_DISPATCH(fit_even)(format, x, importance, params);
  expand_symmetric(kTile / format.group_len, params);
}

void fit_table(const float* x, const float* importance, SpanParams* params) {
  HWY_DYNAMIC_DISPATCH(fit_table_columns)(x, importance, params);
  expand_symmetric(kTile / 32, params);
}

void fit_table_blocks(const float* x, const float* importance, int n, float* d) {
  HWY_DYNAMIC_DISPATCH(fit_table_groups)(x, importance, static_cast<size_t>(n), d);
}

void round_to_table(const float* x, const SpanParams& params, int n, int8_t* index) {
  HWY_DYNAMIC_DISPATCH(round_table)(x, params, n, index);
}

}  // namespace pare::kquant
#endif  // HWY_ONCE

// Fits formats with minima: Q2_K, Q4_K and Q5_K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kquant_affine.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/kquant-inl.h"
#include "codecs/kquant.h"
#include "codecs/kquant_starts.h"
#include "codecs/kquant_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

// Each lane's group fitted on its own: value = scale * level - minimum, minimum >= 0. The sums
// of w, w x and w x^2 do not depend on the levels; those of w l and w l^2 belong to the fit.
struct GroupFits {
  LaneValues w, x, xx;
  LaneValues scale, minimum, l, ll;
};

// The best grid found so far. How much of its group's error a grid removes, after least squares
// for scale and offset, is num / den; comparing products instead spares the divisions.
struct BestGrid {
  V num, den, low, high;

  HWY_INLINE void offer(V other_num, V other_den, V other_low, V other_high) {
    const M better = hn::Gt(hn::Mul(other_num, den), hn::Mul(num, other_den));
    num = hn::IfThenElse(better, other_num, num);
    den = hn::IfThenElse(better, other_den, den);
    low = hn::IfThenElse(better, other_low, low);
    high = hn::IfThenElse(better, other_high, high);
  }
};

template <bool kPairs>
HWY_INLINE void fit_groups(const Tile& tile, const AffineFormat& format, GroupFits* fits) {
  const V zero = set(0.0f);
  const float max_level = static_cast<float>(format.max_level);
  const EvenRounder rounder{zero, set(max_level)};
  for_each_vector([&](size_t lane) HWY_ATTR {
    const Moments m = moments<kPairs>(tile, lane, trust_for(max_level + 1.0f));
    store(m.w, lane, &fits->w);
    store(m.x, lane, &fits->x);
    store(m.xx, lane, &fits->xx);
    const V mean = hn::Div(m.x, m.w);
    const V per_w = hn::Div(set(1.0f), m.w);

    const V range = hn::Sub(m.hi, m.lo);
    const V step = hn::Mul(range, set(1.0f / max_level));
    const V per_step = divide(set(1.0f), step);
    BestGrid best{set(-1.0f), set(1.0f), zero, zero};
    // Starts at lo + low * step; `stretch` is the grid's step in units of `step`, inverted.
    const auto consider = [&](V low, V high, V stretch) HWY_ATTR {
      const V offset = hn::Add(m.lo, hn::Mul(step, low));
      const Sums s = accumulate<kPairs>(tile, lane, rounder, hn::Mul(per_step, stretch), offset);
      const V centred = hn::Sub(s.lx, hn::Mul(mean, s.l));
      const V den = hn::Sub(s.ll, hn::Mul(square(s.l), per_w));
      // The floor keeps rounding noise from winning where all levels are (nearly) one.
      best.offer(square(centred), hn::Max(den, hn::Mul(s.ll, set(1e-6f))), low, high);
    };
    for (const Start& start : format.max_level == 3 ? kStarts2 : kStarts4) {
      const float stretch = max_level / (max_level - start.low - start.high);
      consider(set(start.low), set(start.high), set(stretch));
    }
    const V near_low = best.low, near_high = best.high;
    for (const Start& move : kMoves) {
      const V low = hn::Add(near_low, set(move.low));
      const V high = hn::Add(near_high, set(move.high));
      const V levels = hn::Sub(hn::Sub(set(max_level), low), high);
      consider(low, high, hn::Div(set(max_level), levels));
    }

    const V levels = hn::Sub(hn::Sub(set(max_level), best.low), best.high);
    V inv = hn::Mul(per_step, hn::Div(set(max_level), levels));
    V offset = hn::Add(m.lo, hn::Mul(step, best.low));
    V scale = zero;
    Sums s;
    for (int round = 0; round < 3; ++round) {
      s = accumulate<kPairs>(tile, lane, rounder, inv, offset);
      const V den = hn::Sub(s.ll, hn::Mul(square(s.l), per_w));
      const V slope = divide(hn::Sub(s.lx, hn::Mul(mean, s.l)), hn::Max(den, zero));
      const V constant = hn::Sub(mean, hn::Mul(slope, hn::Mul(s.l, per_w)));
      // An offset above zero cannot be stored.
      const M at_zero = hn::Gt(constant, zero);
      offset = hn::IfThenElse(at_zero, zero, constant);
      scale = hn::IfThenElse(at_zero, divide(s.lx, s.ll), slope);
      scale = hn::Max(scale, zero);
      inv = divide(set(1.0f), scale);
    }
    store(scale, lane, &fits->scale);
    store(hn::Neg(offset), lane, &fits->minimum);
    store(s.l, lane, &fits->l);
    store(s.ll, lane, &fits->ll);
  });
}

// A state of the stored numbers, what it costs each lane's group, and the sums for its levels.
struct State {
  float d = 0.0f, dmin = 0.0f;
  LaneValues scale_code, min_code;
  LaneValues error, l, ll, lx;
  float total = 0.0f;
};

template <bool kPairs>
class SuperFit {
 public:
  SuperFit(const Tile& tile, const AffineFormat& format, const GroupFits& fits)
      : tile_(tile),
        fits_(fits),
        max_level_(static_cast<float>(format.max_level)),
        max_code_(static_cast<float>(format.max_code)) {}

  HWY_INLINE State run() {
    State state;
    start(&state);
    judge(&state);
    State best = state;
    settle(&best);
    for (const auto& move : {Move{-1, 0}, Move{1, 0}, Move{0, -1}, Move{0, 1}})
      improve(move, &best);
    settle(&best);
    return best;
  }

 private:
  struct Move {
    float scale, minimum;
  };

  HWY_INLINE V code(V wanted) const { return clamp(hn::Round(wanted), set(0.0f), set(max_code_)); }

  // d, with minima free to follow; then dmin, from the minima that those scales want.
  HWY_INLINE void start(State* state) const {
    const V tiny = half_quantum(tile_);
    state->l = fits_.l;
    state->ll = fits_.ll;
    LaneValues curvature, minimum;
    for (size_t g = 0; g < kLanes; ++g) {
      curvature.v[g] = fits_.ll.v[g] - fits_.l.v[g] * fits_.l.v[g] / fits_.w.v[g];
    }
    state->d = stored(scan_super_scale<kPairs>(fits_.scale, curvature, largest(fits_.scale),
                                               max_code_, 0.0f, max_code_, 0.2f, tiny));
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V c = code(divide(load(fits_.scale, lane), set(state->d)));
      const V want =
          hn::Sub(hn::Mul(hn::Mul(set(state->d), c), load(fits_.l, lane)), load(fits_.x, lane));
      store(c, lane, &state->scale_code);
      store(hn::Max(hn::Div(want, load(fits_.w, lane)), set(0.0f)), lane, &minimum);
    });
    state->dmin = stored(scan_super_scale<kPairs>(minimum, fits_.w, largest(minimum), max_code_,
                                                  0.0f, max_code_, 0.2f, tiny));
    for_each_vector([&](size_t lane) HWY_ATTR {
      store(code(divide(load(minimum, lane), set(state->dmin))), lane, &state->min_code);
    });
  }

  // Rounds with the state's numbers and sets what follows from the levels.
  HWY_INLINE void judge(State* state) const {
    const EvenRounder rounder{set(0.0f), set(max_level_)};
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V scale = hn::Mul(set(state->d), load(state->scale_code, lane));
      const V offset = hn::Neg(hn::Mul(set(state->dmin), load(state->min_code, lane)));
      const Sums s = accumulate<kPairs>(tile_, lane, rounder, divide(set(1.0f), scale), offset);
      // Without a scale the group is a constant.
      const V sx = load(fits_.x, lane);
      const V constant =
          hn::Add(load(fits_.xx, lane),
                  hn::Mul(offset, hn::Sub(hn::Mul(offset, load(fits_.w, lane)), hn::Add(sx, sx))));
      const V error =
          hn::IfThenElse(hn::Eq(scale, set(0.0f)), constant, hn::Mul(square(scale), s.residual));
      store(error, lane, &state->error);
      store(s.l, lane, &state->l);
      store(s.ll, lane, &state->ll);
      store(s.lx, lane, &state->lx);
    });
    state->total = state->error.sum();
  }

  // For the state's levels: the best d and dmin for its codes, then the best codes for those.
  // False if the equations for d and dmin do not determine them.
  HWY_INLINE bool refit(State* state) const {
    LaneValues a, b, c, p, q;
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V s = load(state->scale_code, lane), m = load(state->min_code, lane);
      store(hn::Mul(square(s), load(state->ll, lane)), lane, &a);
      store(hn::Mul(hn::Mul(s, m), load(state->l, lane)), lane, &b);
      store(hn::Mul(square(m), load(fits_.w, lane)), lane, &c);
      store(hn::Mul(s, load(state->lx, lane)), lane, &p);
      store(hn::Mul(m, load(fits_.x, lane)), lane, &q);
    });
    const float aa = a.sum(), bb = b.sum(), cc = c.sum(), pp = p.sum(), qq = q.sum();
    const float det = aa * cc - bb * bb;
    if (!(det > 1e-6f * aa * cc)) return false;
    state->d = stored((pp * cc - qq * bb) / det);
    state->dmin = stored((pp * bb - qq * aa) / det);
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V w = load(fits_.w, lane), l = load(state->l, lane);
      const V det_g = hn::Sub(hn::Mul(w, load(state->ll, lane)), square(l));
      const V num = hn::Sub(hn::Mul(w, load(state->lx, lane)), hn::Mul(load(fits_.x, lane), l));
      const M clear = hn::Gt(det_g, hn::Mul(set(1e-6f), square(l)));
      const V old = load(state->scale_code, lane);
      const V scale = divide(num, hn::IfThenElse(clear, det_g, set(0.0f)));
      store(hn::IfThenElse(clear, code(divide(scale, set(state->d))), old), lane,
            &state->scale_code);
      follow(lane, state);
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

  // The minimum codes that suit a vector's scale codes and levels.
  HWY_INLINE void follow(size_t lane, State* state) const {
    const V scale = hn::Mul(set(state->d), load(state->scale_code, lane));
    const V want = hn::Sub(hn::Mul(scale, load(state->l, lane)), load(fits_.x, lane));
    const V unit = hn::Mul(set(state->dmin), load(fits_.w, lane));
    store(code(divide(want, unit)), lane, &state->min_code);
  }

  // Takes a step in the codes of every group for which it lowers the error.
  HWY_INLINE void improve(Move move, State* best) const {
    State other = *best;
    for_each_vector([&](size_t lane) HWY_ATTR {
      const V s = hn::Add(load(best->scale_code, lane), set(move.scale));
      store(clamp(s, set(0.0f), set(max_code_)), lane, &other.scale_code);
      if (move.minimum == 0.0f) {
        follow(lane, &other);
      } else {
        const V m = hn::Add(load(best->min_code, lane), set(move.minimum));
        store(clamp(m, set(0.0f), set(max_code_)), lane, &other.min_code);
      }
    });
    judge(&other);
    for_each_vector([&](size_t lane) HWY_ATTR {
      const M better = hn::Lt(load(other.error, lane), load(best->error, lane));
      const auto take = [&](LaneValues State::*member) HWY_ATTR {
        store(hn::IfThenElse(better, load(other.*member, lane), load(best->*member, lane)), lane,
              &(best->*member));
      };
      take(&State::scale_code);
      take(&State::min_code);
      take(&State::error);
      take(&State::l);
      take(&State::ll);
      take(&State::lx);
    });
    best->total = best->error.sum();
  }

  static HWY_INLINE float largest(const LaneValues& values) {
    float most = 0.0f;
    for (float v : values.v) most = std::max(most, v);
    return most;
  }
  HWY_INLINE float stored(float v) const { return from_stored(tile_, to_stored(tile_, v)); }

  const Tile& tile_;
  const GroupFits& fits_;
  const float max_level_;
  const float max_code_;
};

template <bool kPairs>
HWY_INLINE void fit(const Tile& tile, const AffineFormat& format, SpanParams* params) {
  GroupFits fits;
  fit_groups<kPairs>(tile, format, &fits);
  const State best = SuperFit<kPairs>(tile, format, fits).run();
  params->d = to_stored(tile, best.d);
  params->dmin = to_stored(tile, best.dmin);
  constexpr size_t kStep = kPairs ? 2 : 1;
  for (size_t g = 0; g < kLanes / kStep; ++g) {
    params->scale_code[g] = static_cast<int16_t>(best.scale_code.v[g * kStep]);
    params->offset_code[g] = static_cast<int16_t>(best.min_code.v[g * kStep]);
  }
}

void fit_columns(const AffineFormat& format, const float* x, const float* importance,
                 SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  if (format.group_len == 32) {
    fit<true>(tile, format, params);
  } else {
    fit<false>(tile, format, params);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare::kquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::kquant {

HWY_EXPORT(fit_columns);

void fit_affine(const AffineFormat& format, const float* x, const float* importance,
                SpanParams* params) {
  HWY_DYNAMIC_DISPATCH(fit_columns)(format, x, importance, params);
  expand_affine(kTile / format.group_len, params);
}

}  // namespace pare::kquant
#endif  // HWY_ONCE

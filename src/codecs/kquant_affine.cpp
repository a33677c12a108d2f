// Fits formats with minima: Q2_K, Q4_K and Q5_K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kquant_affine.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "codecs/kquant-inl.h"
#include "codecs/kquant.h"
#include "codecs/kquant_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

// Per lane, its group's sums of w, w x and w x^2: they do not depend on levels.
struct Moments {
  LaneValues w, x, xx;
};

// Each group fitted on its own: value = scale * level - minimum, minimum >= 0, and the sums for
// those levels.
struct GroupFits {
  LaneValues scale, minimum, l, ll;
};

// A start grid runs from `low` steps inside the smallest value to `high` steps inside the
// largest; a step is (largest - smallest) / max_level.
struct Start {
  float low, high;
};
constexpr Start kStarts[] = {{0, 0},   {0.5, 0},   {0, 0.5},   {0.5, 0.5},   {1, 0.5},
                             {0.5, 1}, {-0.25, 0}, {0, -0.25}, {0.25, 0.25}, {1, 1}};

template <bool kPairs>
HWY_INLINE void fit_groups(const Tile& tile, float max_level, Moments* moments, GroupFits* fits) {
  const Floats d;
  const V zero = hn::Zero(d);
  const EvenRounder rounder{zero, set(max_level)};
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    V lo = hn::Load(d, tile.x + lane), hi = lo;
    V sw = zero, sx = zero, sxx = zero;
    for (size_t i = 0; i < kLanes; ++i) {
      const V x = hn::Load(d, tile.x + i * kLanes + lane);
      const V w = hn::Load(d, tile.w + i * kLanes + lane);
      const V wx = hn::Mul(w, x);
      lo = hn::Min(lo, x);
      hi = hn::Max(hi, x);
      sw = hn::Add(sw, w);
      sx = hn::Add(sx, wx);
      sxx = hn::Add(sxx, hn::Mul(wx, x));
    }
    if constexpr (kPairs) {
      lo = hn::Min(lo, hn::Reverse2(d, lo));
      hi = hn::Max(hi, hn::Reverse2(d, hi));
    }
    sw = fold<kPairs>(sw);
    sx = fold<kPairs>(sx);
    sxx = fold<kPairs>(sxx);
    lo = hn::Min(lo, zero);
    const V step = hn::Mul(hn::Sub(hi, lo), set(1.0f / max_level));

    V best_gain = set(-1.0f), best_scale = zero, best_min = zero, best_l = zero, best_ll = zero;
    const auto consider = [&](V scale, V offset) {
      const Sums s = accumulate<kPairs>(tile, lane, rounder, divide(set(1.0f), scale), offset);
      // Least squares for scale and offset; an offset above zero cannot be stored.
      const V det = hn::Sub(hn::Mul(sw, s.ll), hn::Mul(s.l, s.l));
      const V solved = divide(hn::Sub(hn::Mul(sw, s.lx), hn::Mul(sx, s.l)), hn::Max(det, zero));
      const V mean = divide(hn::Sub(sx, hn::Mul(solved, s.l)), sw);
      const M at_zero = hn::Gt(mean, zero);
      const V b = hn::IfThenElse(at_zero, zero, mean);
      const V a = hn::IfThenElse(at_zero, divide(s.lx, s.ll), solved);
      const V gain = hn::Add(hn::Mul(a, s.lx), hn::Mul(b, sx));
      const M better = hn::Gt(gain, best_gain);
      best_gain = hn::IfThenElse(better, gain, best_gain);
      best_scale = hn::IfThenElse(better, a, best_scale);
      best_min = hn::IfThenElse(better, hn::Neg(b), best_min);
      best_l = hn::IfThenElse(better, s.l, best_l);
      best_ll = hn::IfThenElse(better, s.ll, best_ll);
    };
    for (const Start& start : kStarts) {
      const V offset = hn::Add(lo, hn::Mul(step, set(start.low)));
      consider(hn::Mul(step, set((max_level - start.low - start.high) / max_level)), offset);
    }
    for (int round = 0; round < 2; ++round) consider(best_scale, hn::Neg(best_min));
    hn::Store(sw, d, moments->w.v + lane);
    hn::Store(sx, d, moments->x.v + lane);
    hn::Store(sxx, d, moments->xx.v + lane);
    hn::Store(best_scale, d, fits->scale.v + lane);
    hn::Store(best_min, d, fits->minimum.v + lane);
    hn::Store(best_l, d, fits->l.v + lane);
    hn::Store(best_ll, d, fits->ll.v + lane);
  }
}

// A state of the stored numbers, what it costs, and the sums for its levels.
struct State {
  float d = 0.0f, dmin = 0.0f;
  LaneValues scale_code, min_code;
  LaneValues error, l, ll, lx;
  float total = 0.0f;
};

template <bool kPairs>
HWY_INLINE void judge(const Tile& tile, float max_level, const Moments& moments, State* state) {
  const Floats d;
  const EvenRounder rounder{hn::Zero(d), set(max_level)};
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const V scale = hn::Mul(set(state->d), hn::Load(d, state->scale_code.v + lane));
    const V offset = hn::Neg(hn::Mul(set(state->dmin), hn::Load(d, state->min_code.v + lane)));
    const Sums s = accumulate<kPairs>(tile, lane, rounder, divide(set(1.0f), scale), offset);
    const V sx = hn::Load(d, moments.x.v + lane);
    const V constant = hn::Add(
        hn::Load(d, moments.xx.v + lane),
        hn::Mul(offset,
                hn::Sub(hn::Mul(offset, hn::Load(d, moments.w.v + lane)), hn::Add(sx, sx))));
    const V error =
        hn::IfThenElse(hn::Eq(scale, hn::Zero(d)), constant, hn::Mul(square(scale), s.residual));
    hn::Store(error, d, state->error.v + lane);
    hn::Store(s.l, d, state->l.v + lane);
    hn::Store(s.ll, d, state->ll.v + lane);
    hn::Store(s.lx, d, state->lx.v + lane);
  }
  state->total = state->error.sum();
}

// The minimum codes that suit the state's scale codes and levels.
HWY_INLINE void choose_min_codes(const Moments& moments, float max_code, State* state) {
  const Floats d;
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const V scale = hn::Mul(set(state->d), hn::Load(d, state->scale_code.v + lane));
    const V want =
        hn::Sub(hn::Mul(scale, hn::Load(d, state->l.v + lane)), hn::Load(d, moments.x.v + lane));
    const V unit = hn::Mul(set(state->dmin), hn::Load(d, moments.w.v + lane));
    hn::Store(clamp(hn::Round(divide(want, unit)), hn::Zero(d), set(max_code)), d,
              state->min_code.v + lane);
  }
}

template <bool kPairs>
HWY_INLINE void fit_super(const Tile& tile, float max_level, float max_code, const Moments& moments,
                          const GroupFits& fits, State* best) {
  const Floats d;
  const V tiny = set(std::ldexp(0x1p-24f, -tile.exponent));
  State state;
  state.l = fits.l;
  state.ll = fits.ll;
  const auto largest = [](const LaneValues& values) {
    float most = 0.0f;
    for (float v : values.v) most = v > most ? v : most;
    return most;
  };
  // d, with minima free to follow; then the minima that the scales now want, and dmin.
  LaneValues curvature, minimum;
  for (size_t g = 0; g < kLanes; ++g) {
    curvature.v[g] = fits.ll.v[g] - fits.l.v[g] * fits.l.v[g] / moments.w.v[g];
  }
  state.d = scan_super_scale(fits.scale.v, curvature.v, largest(fits.scale), max_code, 0.0f,
                             max_code, 0.2f, tiny);
  state.d = from_stored(tile, to_stored(tile, state.d));
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const V c = hn::Round(divide(hn::Load(d, fits.scale.v + lane), set(state.d)));
    hn::Store(clamp(c, hn::Zero(d), set(max_code)), d, state.scale_code.v + lane);
  }
  for (size_t g = 0; g < kLanes; ++g) {
    const float scale = state.d * state.scale_code.v[g];
    const float want = (scale * fits.l.v[g] - moments.x.v[g]) / moments.w.v[g];
    minimum.v[g] = want > 0.0f ? want : 0.0f;
  }
  state.dmin = scan_super_scale(minimum.v, moments.w.v, largest(minimum), max_code, 0.0f, max_code,
                                0.2f, tiny);
  state.dmin = from_stored(tile, to_stored(tile, state.dmin));
  choose_min_codes(moments, max_code, &state);

  for (int round = 0; round < 3; ++round) {
    judge<kPairs>(tile, max_level, moments, &state);
    if (round == 0 || state.total < best->total) *best = state;
    // For these levels and codes: the best d and dmin.
    float a = 0.0f, b = 0.0f, c = 0.0f, p = 0.0f, q = 0.0f;
    for (size_t g = 0; g < kLanes; ++g) {
      const float s = state.scale_code.v[g];
      const float m = state.min_code.v[g];
      a += s * s * state.ll.v[g];
      b += s * m * state.l.v[g];
      c += m * m * moments.w.v[g];
      p += s * state.lx.v[g];
      q += m * moments.x.v[g];
    }
    const float det = a * c - b * b;
    if (!(det > 0.0f)) break;
    state.d = from_stored(tile, to_stored(tile, (p * c - q * b) / det));
    state.dmin = from_stored(tile, to_stored(tile, (p * b - q * a) / det));
    // For these levels, d and dmin: the best codes.
    for (size_t g = 0; g < kLanes; ++g) {
      const float det_g = moments.w.v[g] * state.ll.v[g] - state.l.v[g] * state.l.v[g];
      if (!(det_g > 0.0f) || !(state.d > 0.0f)) continue;
      const float s = (moments.w.v[g] * state.lx.v[g] - moments.x.v[g] * state.l.v[g]) / det_g;
      const float code = std::nearbyint(s / state.d);
      state.scale_code.v[g] = code < 0.0f ? 0.0f : code > max_code ? max_code : code;
    }
    choose_min_codes(moments, max_code, &state);
  }
  // Each group's neighbouring codes, by the error that they really have.
  constexpr float kMoves[][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  for (const auto& move : kMoves) {
    state = *best;
    for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
      const V s = hn::Add(hn::Load(d, state.scale_code.v + lane), set(move[0]));
      hn::Store(clamp(s, hn::Zero(d), set(max_code)), d, state.scale_code.v + lane);
      if (move[1] != 0.0f) {
        const V m = hn::Add(hn::Load(d, state.min_code.v + lane), set(move[1]));
        hn::Store(clamp(m, hn::Zero(d), set(max_code)), d, state.min_code.v + lane);
      }
    }
    if (move[1] == 0.0f) choose_min_codes(moments, max_code, &state);
    judge<kPairs>(tile, max_level, moments, &state);
    for (size_t g = 0; g < kLanes; ++g) {
      if (!(state.error.v[g] < best->error.v[g])) continue;
      best->error.v[g] = state.error.v[g];
      best->scale_code.v[g] = state.scale_code.v[g];
      best->min_code.v[g] = state.min_code.v[g];
      best->l.v[g] = state.l.v[g];
    }
    best->total = best->error.sum();
  }
}

template <bool kPairs>
HWY_INLINE void fit(const Tile& tile, const AffineFormat& format, SpanParams* params) {
  const float max_level = static_cast<float>(format.max_level);
  Moments moments;
  GroupFits fits;
  fit_groups<kPairs>(tile, max_level, &moments, &fits);
  State best;
  fit_super<kPairs>(tile, max_level, static_cast<float>(format.max_code), moments, fits, &best);
  params->d = to_stored(tile, best.d);
  params->dmin = to_stored(tile, best.dmin);
  constexpr size_t kStep = kPairs ? 2 : 1;
  for (size_t g = 0; g < kLanes / kStep; ++g) {
    params->scale_code[g] = static_cast<int16_t>(best.scale_code.v[g * kStep]);
    params->offset_code[g] = static_cast<int16_t>(best.min_code.v[g * kStep]);
  }
}

void fit_tile(const Tile& tile, const AffineFormat& format, SpanParams* params) {
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

HWY_EXPORT(fit_tile);

void fit_affine(const AffineFormat& format, const float* x, const float* importance,
                SpanParams* params) {
  Tile tile;
  load_tile(x, importance, kTile, &tile);
  HWY_DYNAMIC_DISPATCH(fit_tile)(tile, format, params);
  expand_affine(kTile / format.group_len, params);
}

}  // namespace pare::kquant
#endif  // HWY_ONCE

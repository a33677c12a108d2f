#include "codecs/uniform_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/uniform_fit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef PARE_UNIFORM_FIT_ONCE
#define PARE_UNIFORM_FIT_ONCE
namespace pare {
namespace {

// Blocks whose largest weight is below half of the smallest f16 are zero.
inline bool is_negligible(float magnitude) { return !(std::fabs(magnitude) >= 0x1p-25f); }

// No format reaches beyond 127 * 65504 < 2^23: what lies there saturates in any case, and
// squares of what is left fit a float.
inline float within_reach(float x) {
  if (!(x == x)) return 0.0f;
  return std::clamp(x, -0x1p23f, 0x1p23f);
}

// As f16 stores it, saturating.
inline float storable(float value) {
  return fp16_to_float(float_to_fp16(std::clamp(value, -65504.0f, 65504.0f)));
}

// The same, but a scale does not vanish while its block is not zero.
inline float storable_scale(float d) {
  const float stored = storable(d);
  return stored != 0.0f ? stored : std::copysign(0x1p-24f, d);
}

}  // namespace
}  // namespace pare
#endif  // PARE_UNIFORM_FIT_ONCE

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, Candidates::kMost>;
using V = hn::Vec<Tag>;

// A block normalised: x = base + unit * t, where the largest weight (symmetric) or the range
// (affine) has become 1. Importances too are relative to the largest.
struct Normalised {
  HWY_ALIGN float t[UniformBlock::kMaxLen];
  HWY_ALIGN float w[UniformBlock::kMaxLen];
  float base, unit;
  bool weighted;  // or else every w is 1
};

void normalise(const UniformFormat& format, const float* x, const float* importance,
               Normalised* block) {
  const Tag df;
  const int columns = format.block_len, lanes = static_cast<int>(hn::Lanes(df));
  const V reach = hn::Set(df, 0x1p23f);
  V lows = reach, highs = hn::Neg(reach);
  for (int c = 0; c < columns; c += lanes) {
    // As within_reach().
    V t = hn::LoadU(df, x + c);
    t = hn::IfThenElseZero(hn::Eq(t, t), t);
    t = hn::Min(hn::Max(t, hn::Neg(reach)), reach);
    hn::Store(t, df, block->t + c);
    lows = hn::Min(lows, t);
    highs = hn::Max(highs, t);
  }
  const float low = hn::GetLane(hn::MinOfLanes(df, lows));
  const float high = hn::GetLane(hn::MaxOfLanes(df, highs));
  const bool affine = format.fit == UniformFit::kAffine;
  const float base = affine ? low : 0.0f;
  const float unit = affine ? high - low : (-low > high ? low : high);
  const float per_unit = is_negligible(unit) ? 0.0f : 1.0f / unit;
  for (int c = 0; c < columns; c += lanes) {
    const V t = hn::Sub(hn::Load(df, block->t + c), hn::Set(df, base));
    hn::Store(hn::Mul(t, hn::Set(df, per_unit)), df, block->t + c);
  }
  block->base = base;
  block->unit = is_negligible(unit) ? 0.0f : unit;

  float largest = 0.0f;
  if (importance != nullptr) {
    for (int c = 0; c < columns; ++c) largest = std::max(largest, importance[c]);
  }
  if (largest > 0.0f && largest <= std::numeric_limits<float>::max()) {
    const float inverse = 1.0f / largest;
    for (int c = 0; c < columns; ++c) block->w[c] = importance[c] * inverse;
    block->weighted = true;
  } else {
    std::fill_n(block->w, columns, 1.0f);
    block->weighted = false;
  }
}

// Rounds t * scale + shift, one candidate per lane, and refits: what the least-squares d and m
// for the levels are, and by how much they lower the weighted squared error.
template <bool kAffine, bool kWeighted>
struct Fit {
  V gain, d, m;

  HWY_INLINE void improve(const Normalised& block, int columns, V low, V high, V scale, V shift) {
    const Tag df;
    V tq = hn::Zero(df);
    V qq = hn::Zero(df);
    V q1 = hn::Zero(df);
    float sum_w = 0.0f;
    float sum_t = 0.0f;
    for (int c = 0; c < columns; ++c) {
      const V t = hn::Set(df, block.t[c]);
      V q = hn::Mul(t, scale);
      if constexpr (kAffine) q = hn::Add(q, shift);
      q = hn::Min(hn::Max(hn::Round(q), low), high);
      V wq = q;
      if constexpr (kWeighted) wq = hn::Mul(hn::Set(df, block.w[c]), q);
      tq = hn::Add(tq, hn::Mul(wq, t));
      qq = hn::Add(qq, hn::Mul(wq, q));
      if constexpr (kAffine) {
        q1 = hn::Add(q1, wq);
        sum_w += block.w[c];
        sum_t += block.w[c] * block.t[c];
      }
    }
    if constexpr (kAffine) {
      tq = hn::Sub(hn::Mul(hn::Set(df, sum_w), tq), hn::Mul(q1, hn::Set(df, sum_t)));
      qq = hn::Sub(hn::Mul(hn::Set(df, sum_w), qq), hn::Mul(q1, q1));
    }
    const auto usable = hn::Gt(qq, hn::Zero(df));
    const V new_d = hn::Div(tq, hn::IfThenElse(usable, qq, hn::Set(df, 1.0f)));
    const V new_gain = hn::Mul(tq, new_d);
    const auto better = hn::And(usable, hn::Gt(new_gain, gain));
    gain = hn::IfThenElse(better, new_gain, gain);
    d = hn::IfThenElse(better, new_d, d);
    if constexpr (kAffine) {
      const V new_m = hn::Div(hn::Sub(hn::Set(df, sum_t), hn::Mul(new_d, q1)), hn::Set(df, sum_w));
      m = hn::IfThenElse(better, new_m, m);
    }
  }
};

// The sum of 16 columns' terms, which lie in one vector or in several, in an order that does not
// depend on how many.
template <class Term>
HWY_INLINE float sum_16(const Term& term) {
  const Tag df;
  HWY_ALIGN float terms[16];
  for (size_t i = 0; i < 16; i += hn::Lanes(df)) hn::Store(term(i), df, terms + i);
  for (int half = 8; half > 2; half /= 2) {
    for (int i = 0; i < half; ++i) terms[i] += terms[i + half];
  }
  return (terms[0] + terms[2]) + (terms[1] + terms[3]);
}

// Rounds under d and m and refits them, as Fit::improve() for one candidate; false: that is no
// better.
template <bool kAffine, bool kWeighted>
bool polish(const UniformFormat& format, const Normalised& block, float* gain, float* d, float* m) {
  const Tag df;
  const V low = hn::Set(df, static_cast<float>(format.low));
  const V high = hn::Set(df, static_cast<float>(format.high));
  const V scale = hn::Set(df, 1.0f / *d), shift = hn::Set(df, -*m / *d);
  float tq = 0.0f, qq = 0.0f, q1 = 0.0f, sum_w = 0.0f, sum_t = 0.0f;
  for (int c = 0; c < format.block_len; c += 16) {
    const auto t = [&](size_t i) HWY_ATTR { return hn::Load(df, block.t + c + i); };
    const auto w = [&](size_t i) HWY_ATTR { return hn::Load(df, block.w + c + i); };
    HWY_ALIGN float q[16], wq[16];
    for (size_t i = 0; i < 16; i += hn::Lanes(df)) {
      V v = hn::Mul(t(i), scale);
      if constexpr (kAffine) v = hn::Add(v, shift);
      v = hn::Min(hn::Max(hn::Round(v), low), high);
      hn::Store(v, df, q + i);
      hn::Store(kWeighted ? hn::Mul(w(i), v) : v, df, wq + i);
    }
    const auto of_q = [&](size_t i) HWY_ATTR { return hn::Load(df, wq + i); };
    tq += sum_16([&](size_t i) HWY_ATTR { return hn::Mul(of_q(i), t(i)); });
    qq += sum_16([&](size_t i) HWY_ATTR { return hn::Mul(of_q(i), hn::Load(df, q + i)); });
    if constexpr (kAffine) {
      q1 += sum_16(of_q);
      sum_w += sum_16(w);
      sum_t += sum_16([&](size_t i) HWY_ATTR { return hn::Mul(w(i), t(i)); });
    }
  }
  if constexpr (kAffine) {
    tq = sum_w * tq - q1 * sum_t;
    qq = sum_w * qq - q1 * q1;
  }
  if (!(qq > 0.0f)) return false;
  const float new_d = tq / qq, new_gain = tq * new_d;
  if (!(new_gain > *gain)) return false;
  *gain = new_gain;
  *d = new_d;
  if constexpr (kAffine) *m = (sum_t - new_d * q1) / sum_w;
  return true;
}

template <bool kAffine, bool kWeighted>
void search(const UniformFormat& format, const Normalised& block, UniformBlock* out) {
  const Tag df;
  const V low = hn::Set(df, static_cast<float>(format.low));
  const V high = hn::Set(df, static_cast<float>(format.high));
  HWY_ALIGN float gains[Candidates::kMost];
  HWY_ALIGN float ds[Candidates::kMost];
  HWY_ALIGN float ms[Candidates::kMost];
  const Candidates& candidates =
      kWeighted || format.unweighted == nullptr ? *format.candidates : *format.unweighted;
  const auto count = static_cast<size_t>(candidates.count);
  for (size_t first = 0; first < count; first += hn::Lanes(df)) {
    Fit<kAffine, kWeighted> fit = {hn::Zero(df), hn::Zero(df), hn::Zero(df)};
    fit.improve(block, format.block_len, low, high, hn::LoadU(df, candidates.scale + first),
                hn::LoadU(df, candidates.shift + first));
    hn::Store(fit.gain, df, gains + first);
    hn::Store(fit.d, df, ds + first);
    hn::Store(fit.m, df, ms + first);
  }
  // Without a usable candidate (all importance on one column, say): the range as it is.
  float best_gain = 0.0f;
  float best_d = 1.0f / static_cast<float>(format.high);
  float best_m = 0.0f;
  for (int kept = 0; kept < format.kept; ++kept) {
    float* most = std::max_element(gains, gains + count);
    const auto k = most - gains;
    float gain = std::exchange(*most, 0.0f), d = ds[k], m = ms[k];
    if (!(gain > 0.0f)) break;
    for (int pass = 0; pass < format.refits; ++pass) {
      if (!polish<kAffine, kWeighted>(format, block, &gain, &d, &m)) break;
    }
    if (gain <= best_gain) continue;
    best_gain = gain;
    best_d = d;
    best_m = m;
  }
  out->d = block.unit != 0.0f ? storable_scale(best_d * block.unit) : 0.0f;
  out->m = storable(block.base + best_m * block.unit);
}

void SearchBlocks(const UniformFormat& format, const float* x, const float* importance, int blocks,
                  UniformBlock* out) {
  Normalised block;
  for (int b = 0; b < blocks; ++b) {
    const int64_t at = static_cast<int64_t>(b) * format.block_len;
    normalise(format, x + at, importance != nullptr ? importance + at : nullptr, &block);
    const bool affine = format.fit == UniformFit::kAffine;
    const auto fit = affine           ? block.weighted ? search<true, true> : search<true, false>
                               : block.weighted ? search<false, true>
                                      : search<false, false>;
    fit(format, block, out + b);
  }
}

// d = max |x| / high, rounded to f16.
void AbsMaxBlocks(const UniformFormat& format, const float* x, int blocks, UniformBlock* out) {
  const Tag df;
  for (int b = 0; b < blocks; ++b) {
    V max = hn::Zero(df);
    for (int c = 0; c < format.block_len; c += static_cast<int>(hn::Lanes(df))) {
      max = hn::Max(max, hn::Abs(hn::LoadU(df, x + b * format.block_len + c)));
    }
    const float largest = within_reach(hn::GetLane(hn::MaxOfLanes(df, max)));
    const float d = largest / static_cast<float>(format.high);
    out[b].d = is_negligible(largest) ? 0.0f : storable_scale(d);
    out[b].m = 0.0f;
  }
}

// The nearest levels under d and m; the same arithmetic as nearest_level().
void RoundBlocks(const UniformFormat& format, const float* x, int blocks, UniformBlock* out) {
  const Tag df;
  const hn::RebindToSigned<Tag> di;
  const hn::Rebind<int8_t, Tag> db;
  const V low = hn::Set(df, static_cast<float>(format.low));
  const V high = hn::Set(df, static_cast<float>(format.high));
  for (int b = 0; b < blocks; ++b, x += format.block_len) {
    const V m = hn::Set(df, out[b].m);
    const V inverse = hn::Set(df, out[b].d != 0.0f ? 1.0f / out[b].d : 0.0f);
    for (int c = 0; c < format.block_len; c += static_cast<int>(hn::Lanes(df))) {
      V q = hn::Mul(hn::Sub(hn::LoadU(df, x + c), m), inverse);
      q = hn::IfThenElse(hn::Eq(q, q), q, hn::Zero(df));  // NaN
      q = hn::Min(hn::Max(hn::Round(q), low), high);
      hn::StoreU(hn::DemoteTo(db, hn::ConvertTo(di, q)), db, out[b].levels + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
namespace {
HWY_EXPORT(SearchBlocks);
HWY_EXPORT(AbsMaxBlocks);
HWY_EXPORT(RoundBlocks);

// Levels -1 and +1: the weighted mean of |x| is the best d, in closed form.
void fit_signs(const UniformFormat& format, const float* x, const float* importance,
               UniformBlock* block) {
  // Eight sums side by side, so that the compiler may use vectors.
  constexpr int kSums = 8;
  double sums[kSums] = {};
  double weights[kSums] = {};
  const bool weighted = importance != nullptr;
  for (int c = 0; c < format.block_len; ++c) {
    const double w = weighted ? static_cast<double>(importance[c]) : 1.0;
    sums[c % kSums] += w * static_cast<double>(std::fabs(within_reach(x[c])));
    weights[c % kSums] += w;
    block->levels[c] = static_cast<int8_t>(x[c] < 0.0f ? -1 : 1);
  }
  const double sum = std::accumulate(sums, sums + kSums, 0.0);
  const double weight = std::accumulate(weights, weights + kSums, 0.0);
  if (weighted && !(weight > 0.0 && std::isfinite(sum) && std::isfinite(weight))) {
    fit_signs(format, x, nullptr, block);
    return;
  }
  block->d = storable(static_cast<float>(sum / weight));
  block->m = 0.0f;
}

}  // namespace

void fit_uniform(const UniformFormat& format, const float* x, const float* importance, int blocks,
                 UniformBlock* out) {
  switch (format.fit) {
    case UniformFit::kSigns:
      for (int b = 0; b < blocks; ++b) {
        const int64_t at = static_cast<int64_t>(b) * format.block_len;
        fit_signs(format, x + at, importance != nullptr ? importance + at : nullptr, out + b);
      }
      return;
    case UniformFit::kAbsMax:
      HWY_DYNAMIC_DISPATCH(AbsMaxBlocks)(format, x, blocks, out);
      break;
    case UniformFit::kSymmetric:
    case UniformFit::kAffine:
      HWY_DYNAMIC_DISPATCH(SearchBlocks)(format, x, importance, blocks, out);
      break;
  }
  HWY_DYNAMIC_DISPATCH(RoundBlocks)(format, x, blocks, out);
}

int nearest_level(const UniformFormat& format, float d, float m, float x) {
  if (format.fit == UniformFit::kSigns) return x * d < 0.0f ? -1 : 1;
  const float q = (x - m) * (d != 0.0f ? 1.0f / d : 0.0f);
  if (!(q == q)) return 0;
  const float low = static_cast<float>(format.low);
  const float high = static_cast<float>(format.high);
  return static_cast<int>(std::clamp(std::nearbyint(q), low, high));
}

}  // namespace pare
#endif  // HWY_ONCE

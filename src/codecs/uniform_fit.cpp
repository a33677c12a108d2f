#include "codecs/uniform_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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

using Tag = hn::CappedTag<float, Candidates::kCount>;
using V = hn::Vec<Tag>;

// A block normalised: x = base + unit * t, where the largest weight (symmetric) or the range
// (affine) has become 1. Importances too are relative to the largest.
struct Normalised {
  HWY_ALIGN float t[UniformBlock::kMaxLen];
  HWY_ALIGN float w[UniformBlock::kMaxLen];
  float base, unit;
};

void normalise(const UniformFormat& format, const float* x, const float* importance,
               Normalised* block) {
  const int columns = format.block_len;
  float low = within_reach(x[0]);
  float high = low;
  for (int c = 0; c < columns; ++c) {
    block->t[c] = within_reach(x[c]);
    low = std::min(low, block->t[c]);
    high = std::max(high, block->t[c]);
  }
  const bool affine = format.fit == UniformFit::kAffine;
  const float base = affine ? low : 0.0f;
  const float unit = affine ? high - low : (-low > high ? low : high);
  const float per_unit = is_negligible(unit) ? 0.0f : 1.0f / unit;
  for (int c = 0; c < columns; ++c) block->t[c] = (block->t[c] - base) * per_unit;
  block->base = base;
  block->unit = is_negligible(unit) ? 0.0f : unit;

  float largest = 0.0f;
  if (importance != nullptr) {
    for (int c = 0; c < columns; ++c) largest = std::max(largest, importance[c]);
  }
  if (largest > 0.0f && largest <= std::numeric_limits<float>::max()) {
    const float inverse = 1.0f / largest;
    for (int c = 0; c < columns; ++c) block->w[c] = importance[c] * inverse;
  } else {
    std::fill_n(block->w, columns, 1.0f);
  }
}

// Rounds t * scale + shift, one candidate per lane, and refits: what the least-squares d and m
// for the levels are, and by how much they lower the weighted squared error.
template <bool kAffine>
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
      const V w = hn::Set(df, block.w[c]);
      V q = hn::Mul(t, scale);
      if constexpr (kAffine) q = hn::Add(q, shift);
      q = hn::Min(hn::Max(hn::Round(q), low), high);
      const V wq = hn::Mul(w, q);
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

template <bool kAffine>
void search(const UniformFormat& format, const Normalised& block, UniformBlock* out) {
  const Tag df;
  const V low = hn::Set(df, static_cast<float>(format.low));
  const V high = hn::Set(df, static_cast<float>(format.high));
  // Without a usable candidate (all importance on one column, say): the range as it is.
  float best_gain = 0.0f;
  float best_d = 1.0f / static_cast<float>(format.high);
  float best_m = 0.0f;
  HWY_ALIGN float gains[Candidates::kCount];
  HWY_ALIGN float ds[Candidates::kCount];
  HWY_ALIGN float ms[Candidates::kCount];
  for (size_t first = 0; first < Candidates::kCount; first += hn::Lanes(df)) {
    Fit<kAffine> fit = {hn::Zero(df), hn::Set(df, best_d), hn::Zero(df)};
    V scale = hn::LoadU(df, format.candidates->scale + first);
    V shift = hn::LoadU(df, format.candidates->shift + first);
    for (int pass = 0;; ++pass) {
      fit.improve(block, format.block_len, low, high, scale, shift);
      if (pass == format.refits) break;
      const auto usable = hn::Ne(fit.d, hn::Zero(df));
      scale = hn::Div(hn::Set(df, 1.0f), hn::IfThenElse(usable, fit.d, hn::Set(df, 1.0f)));
      shift = hn::Neg(hn::Mul(fit.m, scale));
    }
    hn::Store(fit.gain, df, gains + first);
    hn::Store(fit.d, df, ds + first);
    hn::Store(fit.m, df, ms + first);
  }
  for (size_t k = 0; k < Candidates::kCount; ++k) {
    if (gains[k] <= best_gain) continue;
    best_gain = gains[k];
    best_d = ds[k];
    best_m = ms[k];
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
    if (format.fit == UniformFit::kAffine) {
      search<true>(format, block, out + b);
    } else {
      search<false>(format, block, out + b);
    }
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

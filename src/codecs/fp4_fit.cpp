#include "codecs/fp4_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/fp4_fit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kMaxTries = 16;
using Tag = hn::CappedTag<float, kMaxTries>;
using V = hn::Vec<Tag>;

// The nearest of 0 1 2 3 4 6 8 12 to a >= 0: steps of 1 below 4, of 2 below 8, then of 4.
HWY_INLINE V nearest_magnitude(V a) {
  const Tag df;
  const auto fine = hn::Lt(a, hn::Set(df, 4.0f));
  const auto middle = hn::Lt(a, hn::Set(df, 8.0f));
  const V step = hn::IfThenElse(fine, hn::Set(df, 1.0f),
                                hn::IfThenElse(middle, hn::Set(df, 2.0f), hn::Set(df, 4.0f)));
  const V per_step = hn::IfThenElse(fine, hn::Set(df, 1.0f),
                                    hn::IfThenElse(middle, hn::Set(df, 0.5f), hn::Set(df, 0.25f)));
  return hn::Min(hn::Mul(hn::Round(hn::Mul(a, per_step)), step), hn::Set(df, 12.0f));
}

// errors[k]: the weighted squared error of magnitudes x[n] under scales[k], one k per lane.
void ScaleErrors(const float* x, const float* weights, int n, const float* scales, int tries,
                 float* errors) {
  const Tag df;
  for (int first = 0; first < tries; first += static_cast<int>(hn::Lanes(df))) {
    const V scale = hn::Load(df, scales + first);
    const auto usable = hn::Gt(scale, hn::Zero(df));
    const V inverse = hn::IfThenElseZero(
        usable, hn::Div(hn::Set(df, 1.0f), hn::IfThenElse(usable, scale, hn::Set(df, 1.0f))));
    V sum = hn::Zero(df);
    for (int c = 0; c < n; ++c) {
      const V magnitude = hn::Set(df, x[c]);
      const V level = nearest_magnitude(hn::Mul(magnitude, inverse));
      const V error = hn::Sub(magnitude, hn::Mul(scale, level));
      sum = hn::Add(sum, hn::Mul(hn::Set(df, weights[c]), hn::Mul(error, error)));
    }
    hn::Store(sum, df, errors + first);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
namespace {
HWY_EXPORT(ScaleErrors);

constexpr int kMaxTries = 16;

}  // namespace

int fit_fp4_scale(const Fp4Format& format, const float* x, const float* importance) {
  const int n = format.group_len;
  float magnitudes[Fp4Format::kMaxGroup];
  float weights[Fp4Format::kMaxGroup];
  float largest = 0.0f;
  float largest_w = 0.0f;
  for (int c = 0; c < n; ++c) {
    const float magnitude = std::fabs(x[c]);
    magnitudes[c] =
        magnitude == magnitude ? std::min(magnitude, std::numeric_limits<float>::max()) : 0.0f;
    largest = std::max(largest, magnitudes[c]);
    if (importance != nullptr) largest_w = std::max(largest_w, importance[c]);
  }
  const bool weighted = largest_w > 0.0f && largest_w <= std::numeric_limits<float>::max();
  const float* last = format.scales + format.max_scale_code;
  const int top =
      static_cast<int>(std::lower_bound(format.scales, last, largest / 8.0f) - format.scales);
  if (!(largest > 0.0f)) return 0;

  // Everything relative to the largest weight and importance: no overflow in the squares.
  for (int c = 0; c < n; ++c) {
    magnitudes[c] /= largest;
    weights[c] = weighted ? importance[c] / largest_w : 1.0f;
  }
  HWY_ALIGN float scales[kMaxTries];
  HWY_ALIGN float errors[kMaxTries];
  for (int k = 0; k < kMaxTries; ++k) {
    scales[k] = format.scales[std::max(top - std::min(k, format.tries - 1), 0)] / largest;
  }
  HWY_DYNAMIC_DISPATCH(ScaleErrors)(magnitudes, weights, n, scales, format.tries, errors);
  int best = 0;
  for (int k = 1; k < format.tries; ++k) {
    if (errors[k] < errors[best]) best = k;
  }
  return std::max(top - best, 0);
}

void round_fp4(const float* x, int n, float scale, uint8_t* codes) {
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  for (int c = 0; c < n; ++c) {
    // Codes 0..4 stand for 0..4, 5 and 6 for 6 and 8, 7 for 12.
    const float a = std::fabs(x[c]) * inverse;
    float code = std::min(4.0f + std::nearbyint(a * 0.25f), 7.0f);
    if (a < 8.0f) code = 2.0f + std::nearbyint(a * 0.5f);
    if (a < 4.0f) code = std::nearbyint(a);
    if (!(code >= 1.0f)) code = 0.0f;
    codes[c] = static_cast<uint8_t>(static_cast<int>(code) | (x[c] < 0.0f && code > 0.0f ? 8 : 0));
  }
}

}  // namespace pare
#endif  // HWY_ONCE

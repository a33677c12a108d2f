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

// The nearest of 0 1 2 3 4 6 8 12 to a >= 0, ties to even: floats with one bit of mantissa, from
// 2 on. Adding and subtracting 3 * 2^22 steps rounds to whole steps.
HWY_INLINE V nearest_magnitude(V a) {
  const Tag df;
  const hn::RebindToUnsigned<Tag> du;
  const auto exponent =
      hn::And(hn::BitCast(du, hn::Max(a, hn::Set(df, 2.0f))), hn::Set(du, 0x7f800000u));
  const V magic = hn::Mul(hn::BitCast(df, exponent), hn::Set(df, 0x1.8p22f));
  return hn::Min(hn::Sub(hn::Add(a, magic), magic), hn::Set(df, 12.0f));
}

// errors[k]: the weighted squared error of magnitudes x[n] under scales[k], one k per lane.
void ScaleErrors(const float* x, const float* weights, int n, const float* scales, int tries,
                 float* errors) {
  const Tag df;
  for (int first = 0; first < tries; first += static_cast<int>(hn::Lanes(df))) {
    const V scale = hn::LoadU(df, scales + first);
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
    hn::StoreU(sum, df, errors + first);
  }
}

// The nibbles of x[n] * inverse; n is a multiple of 16.
void RoundFp4(const float* x, int n, float inverse, uint8_t* codes) {
  const Tag df;
  const hn::RebindToSigned<Tag> di;
  const hn::Rebind<uint8_t, Tag> db;
  const V zero = hn::Zero(df);
  for (int c = 0; c < n; c += static_cast<int>(hn::Lanes(df))) {
    V scaled = hn::Mul(hn::LoadU(df, x + c), hn::Set(df, inverse));
    scaled = hn::IfThenElse(hn::Eq(scaled, scaled), scaled, zero);
    const V level = nearest_magnitude(hn::Min(hn::Abs(scaled), hn::Set(df, 16.0f)));
    // 0 1 2 3 4 6 8 12 -> 0 .. 7
    V code = hn::Min(level, hn::Add(hn::Mul(level, hn::Set(df, 0.5f)), hn::Set(df, 2.0f)));
    code = hn::Min(code, hn::Add(hn::Mul(level, hn::Set(df, 0.25f)), hn::Set(df, 4.0f)));
    const auto negative = hn::And(hn::Lt(scaled, zero), hn::Gt(code, zero));
    code = hn::Add(code, hn::IfThenElseZero(negative, hn::Set(df, 8.0f)));
    hn::StoreU(hn::DemoteTo(db, hn::ConvertTo(di, code)), db, codes + c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
namespace {
HWY_EXPORT(ScaleErrors);
HWY_EXPORT(RoundFp4);

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
  const auto first_reaching = [&](float scale) {
    const float* last = format.scales + format.max_scale_code;
    return static_cast<int>(std::lower_bound(format.scales, last, scale) - format.scales);
  };
  const int top =
      std::max(first_reaching(largest / 7.0f), std::min(first_reaching(largest), format.tries - 1));
  if (!(largest > 0.0f)) return 0;

  // Everything relative to the largest weight and importance: no overflow in the squares.
  for (int c = 0; c < n; ++c) {
    magnitudes[c] /= largest;
    weights[c] = weighted ? importance[c] / largest_w : 1.0f;
  }
  float scales[kMaxTries];
  float errors[kMaxTries];
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
  HWY_DYNAMIC_DISPATCH(RoundFp4)(x, n, scale > 0.0f ? 1.0f / scale : 0.0f, codes);
}

}  // namespace pare
#endif  // HWY_ONCE

// What the ways to attend share, for each instruction set: queries, and scores that become weights.
#include <hwy/highway.h>

// The usual guard of a per-target header.
#if defined(PARE_ATTENTION_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_ATTENTION_ROWS_INL_H_
#undef PARE_ATTENTION_ROWS_INL_H_
#else
#define PARE_ATTENTION_ROWS_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/exec_native/attention_unit.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// No vector is longer than half of a pad, so that columns always come in pairs of vectors.
using Floats = hn::CappedTag<float, kValuePad / 2>;
using Vector = hn::Vec<Floats>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

// e^x, x <= 0, within 4 units in the last place; 0 below -87, so that no weight is subnormal; NaN
// of NaN.
HWY_INLINE Vector exp_of_negative(Vector x) {
  const Floats d;
  // Near so large a number, floats are the integers: its last bits are x / ln(2), rounded.
  const Vector large = hn::Set(d, 0x1.8p23f);
  const Vector power = hn::MulAdd(x, hn::Set(d, 1.44269504f), large);
  const Vector r = hn::NegMulAdd(hn::Sub(power, large), hn::Set(d, 0.693147182f), x);
  // The least relative error of 1 + r + r^2 P(r) for |r| <= ln(2) / 2: 1e-7.
  Vector y = hn::MulAdd(hn::Set(d, 0x1.106294p-7f), r, hn::Set(d, 0x1.5729f6p-5f));
  y = hn::MulAdd(y, r, hn::Set(d, 0x1.5557aep-3f));
  y = hn::MulAdd(y, r, hn::Set(d, 0x1.fffdfcp-2f));
  y = hn::MulAdd(y, r, hn::Set(d, 1.0f));
  y = hn::MulAdd(y, r, hn::Set(d, 1.0f));
  const hn::RebindToSigned<Floats> di;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, power));
  y = hn::BitCast(d, hn::Add(hn::BitCast(di, y), exponent));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)), y);
}

// scores[0, count): the exponentials of what is above `old_top`; updates top and sum, and returns
// what to multiply earlier results with. Scores are padded to whole vectors with -infinity.
HWY_INLINE float exponentials(float* scores, int64_t count, float* top, float* sum) {
  const Floats d;
  Vector most = hn::LoadU(d, scores);
  for (int64_t j = lanes(); j < count; j += lanes()) most = hn::Max(most, hn::LoadU(d, scores + j));
  const float old_top = *top;
  const float own_top = hn::GetLane(hn::MaxOfLanes(d, most));
  const float new_top = own_top <= old_top ? old_top : own_top;  // or NaN
  if (new_top == -std::numeric_limits<float>::infinity()) {
    for (int64_t j = 0; j < count; j += lanes()) hn::StoreU(hn::Zero(d), d, scores + j);
    return 1.0f;
  }
  const Vector shift = hn::Set(d, new_top);
  Vector total = hn::Zero(d);
  for (int64_t j = 0; j < count; j += lanes()) {
    const Vector e = exp_of_negative(hn::Sub(hn::LoadU(d, scores + j), shift));
    hn::StoreU(e, d, scores + j);
    total = hn::Add(total, e);
  }
  const float keep = old_top == new_top ? 1.0f : std::exp(old_top - new_top);
  *top = new_top;
  *sum = *sum * keep + hn::GetLane(hn::SumOfLanes(d, total));
  return keep;
}

HWY_INLINE void scale_row(float* x, float factor, int64_t n) {
  const Floats d;
  const Vector f = hn::Set(d, factor);
  for (int64_t i = 0; i < n; i += lanes()) hn::StoreU(hn::Mul(hn::LoadU(d, x + i), f), d, x + i);
}

HWY_INLINE void softcap_row(float* x, float factor, int64_t n) {
  const Floats d;
  const Vector f = hn::Set(d, factor), inverse = hn::Set(d, 1.0f / factor);
  for (int64_t i = 0; i < n; i += lanes()) {
    const Vector v = hn::Mul(hn::LoadU(d, x + i), inverse);
    hn::StoreU(hn::Mul(hn::Tanh(d, v), f), d, x + i);
  }
}

// What a unit asks and how its results begin.
struct Rows {
  const OpAttributes& attr;
  const AttentionInput& in;
  const AttentionUnit& unit;
  int64_t group = attr.heads / attr.kv_heads, count = unit.tokens * group;

  void start(float* q, float* top, float* sum) const {
    for (int64_t r = 0; r < count; ++r) {
      const float* from = in.q + (unit.first_token + r / group) * in.q_stride +
                          (unit.kv_head * group + r % group) * attr.head_dim;
      float* to = q + r * attr.head_dim;
      for (int64_t c = 0; c < attr.head_dim; ++c) to[c] = from[c] * attr.scale;
    }
    std::fill(top, top + count, -std::numeric_limits<float>::infinity());
    std::fill(sum, sum + count, 0.0f);
  }

  // The rows [first, last) that may see a key of [begin, begin + keys).
  std::pair<int64_t, int64_t> that_see(int64_t begin, int64_t keys) const {
    const int64_t position = in.position + unit.first_token;
    const int64_t first = std::max<int64_t>(0, begin - position);
    int64_t last = unit.tokens;
    if (attr.window > 0) last = std::min(last, begin + keys - 1 + attr.window - position);
    return {first * group, std::max(first, last) * group};
  }
};

// Row r's scores of keys [begin, begin + count), padded to `width`, become weights, zero for keys
// that it may not see; returns what to multiply earlier results with.
HWY_INLINE float weigh(const Rows& rows, int64_t r, int64_t begin, int64_t count, int64_t width,
                       float* scores, float* top, float* sum) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const OpAttributes& attr = rows.attr;
  if (attr.softcap != 0.0f) softcap_row(scores, attr.softcap, width);
  const int64_t position = rows.in.position + rows.unit.first_token + r / rows.group;
  const int64_t last = std::min(count, position + 1 - begin);  // sees keys [first, last)
  const int64_t first = attr.window > 0 ? position + 1 - attr.window - begin : 0;
  for (int64_t j = 0; j < std::min(first, count); ++j) scores[j] = kNever;
  for (int64_t j = std::max<int64_t>(0, last); j < width; ++j) scores[j] = kNever;
  return exponentials(scores, width, top, sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#endif  // the guard

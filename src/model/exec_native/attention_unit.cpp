#include "model/exec_native/attention_unit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/attention_unit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format off: after highway.h, once for each instruction set
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// No vector is longer than half of a pad, so that columns always come in pairs of vectors.
using Floats = hn::CappedTag<float, kValuePad / 2>;
using Vector = hn::Vec<Floats>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

// out[r * out_stride + j] (+)= sum_i a[r * a_stride + i] b[i * b_stride + j] for kRows rows and
// two vectors of columns.
template <int kRows, bool kAccumulate>
HWY_INLINE void product_tile(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                             int64_t depth, float* out, int64_t out_stride) {
  const Floats d;
  const int64_t n = lanes();
  Vector s00, s01, s10, s11, s20, s21, s30, s31;
  const auto start = [&](int row, Vector* left, Vector* right) HWY_ATTR {
    *left = kAccumulate && row < kRows ? hn::LoadU(d, out + row * out_stride) : hn::Zero(d);
    *right = kAccumulate && row < kRows ? hn::LoadU(d, out + row * out_stride + n) : hn::Zero(d);
  };
  start(0, &s00, &s01);
  start(1, &s10, &s11);
  start(2, &s20, &s21);
  start(3, &s30, &s31);
  for (int64_t i = 0; i < depth; ++i) {
    const Vector left = hn::LoadU(d, b + i * b_stride);
    const Vector right = hn::LoadU(d, b + i * b_stride + n);
    const auto step = [&](int row, Vector* l, Vector* r) HWY_ATTR {
      if (row >= kRows) return;
      const Vector x = hn::Set(d, a[row * a_stride + i]);
      *l = hn::MulAdd(x, left, *l);
      *r = hn::MulAdd(x, right, *r);
    };
    step(0, &s00, &s01);
    step(1, &s10, &s11);
    step(2, &s20, &s21);
    step(3, &s30, &s31);
  }
  const auto finish = [&](int row, Vector left, Vector right) HWY_ATTR {
    if (row >= kRows) return;
    hn::StoreU(left, d, out + row * out_stride);
    hn::StoreU(right, d, out + row * out_stride + n);
  };
  finish(0, s00, s01);
  finish(1, s10, s11);
  finish(2, s20, s21);
  finish(3, s30, s31);
}

// The same for all rows and for columns [0, columns), rounded up to two vectors.
template <bool kAccumulate>
HWY_INLINE void product(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                        int64_t depth, int64_t rows, int64_t columns, float* out,
                        int64_t out_stride) {
  for (int64_t j = 0; j < columns; j += 2 * lanes()) {
    int64_t r = 0;
    const auto tile = [&]<int kRows>() HWY_ATTR {
      product_tile<kRows, kAccumulate>(a + r * a_stride, a_stride, b + j, b_stride, depth,
                                       out + r * out_stride + j, out_stride);
    };
    for (; r + 4 <= rows; r += 4) tile.template operator()<4>();
    if (rows - r == 3) tile.template operator()<3>();
    if (rows - r == 2) tile.template operator()<2>();
    if (rows - r == 1) tile.template operator()<1>();
  }
}

// scores[0, count): the exponentials of what is above `old_top`; updates top and sum, and returns
// what to multiply earlier results with. Scores are padded to whole vectors with -infinity.
HWY_INLINE float exponentials(float* scores, int64_t count, float* top, float* sum) {
  const Floats d;
  Vector most = hn::LoadU(d, scores);
  for (int64_t j = lanes(); j < count; j += lanes()) most = hn::Max(most, hn::LoadU(d, scores + j));
  const float old_top = *top;
  const float new_top = std::max(old_top, hn::GetLane(hn::MaxOfLanes(d, most)));
  if (new_top == -std::numeric_limits<float>::infinity()) {
    for (int64_t j = 0; j < count; j += lanes()) hn::StoreU(hn::Zero(d), d, scores + j);
    return 1.0f;
  }
  const Vector shift = hn::Set(d, new_top);
  Vector total = hn::Zero(d);
  for (int64_t j = 0; j < count; j += lanes()) {
    const Vector e = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + j), shift));
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

// Everything a thread needs for one unit.
struct Scratch {
  std::vector<float> q, keys, values, scores;
  void resize(int64_t rows, int64_t head_dim, int64_t value_dim, int64_t padded) {
    q.resize(static_cast<size_t>(rows * head_dim));
    keys.resize(static_cast<size_t>(kKeysAtOnce * head_dim));
    values.resize(static_cast<size_t>(kKeysAtOnce * padded));
    if (padded > value_dim) std::fill(values.begin(), values.end(), 0.0f);  // pads stay zero
    scores.resize(static_cast<size_t>(rows * kKeysAtOnce));
  }
};

void Attend(const OpAttributes& attr, const KvCache& cache, size_t layer, const AttentionInput& in,
            const AttentionUnit& unit, float* mixed, float* top, float* sum) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const int64_t group = attr.heads / attr.kv_heads, rows = unit.tokens * group;
  const int64_t head_dim = attr.head_dim, padded = padded_value_dim(attr.value_dim);
  thread_local Scratch scratch;
  scratch.resize(rows, head_dim, attr.value_dim, padded);
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = in.q + (unit.first_token + r / group) * in.q_stride +
                        (unit.kv_head * group + r % group) * head_dim;
    float* to = scratch.q.data() + r * head_dim;
    for (int64_t c = 0; c < head_dim; ++c) to[c] = from[c] * attr.scale;
  }
  std::fill(mixed, mixed + rows * padded, 0.0f);
  std::fill(top, top + rows, kNever);
  std::fill(sum, sum + rows, 0.0f);
  for (int64_t begin = unit.begin; begin < unit.end; begin += kKeysAtOnce) {
    const int64_t count = std::min(kKeysAtOnce, unit.end - begin);
    const int64_t width = (count + 2 * lanes() - 1) / (2 * lanes()) * (2 * lanes());
    float* scores = scratch.scores.data();
    cache.load_keys(layer, unit.kv_head, begin, count, scratch.keys.data(), kKeysAtOnce);
    cache.load_values(layer, unit.kv_head, begin, count, scratch.values.data(), padded);
    product<false>(scratch.q.data(), head_dim, scratch.keys.data(), kKeysAtOnce, head_dim, rows,
                   width, scores, kKeysAtOnce);
    for (int64_t r = 0; r < rows; ++r) {
      float* row = scores + r * kKeysAtOnce;
      if (attr.softcap != 0.0f) softcap_row(row, attr.softcap, width);
      const int64_t position = in.position + unit.first_token + r / group;
      const int64_t last = std::min(count, position + 1 - begin);  // sees keys [first, last)
      const int64_t first = attr.window > 0 ? position + 1 - attr.window - begin : 0;
      for (int64_t j = 0; j < std::min(first, count); ++j) row[j] = kNever;
      for (int64_t j = std::max<int64_t>(0, last); j < width; ++j) row[j] = kNever;
      const float keep = exponentials(row, width, top + r, sum + r);
      if (keep != 1.0f) scale_row(mixed + r * padded, keep, padded);
    }
    product<true>(scores, kKeysAtOnce, scratch.values.data(), padded, count, rows, padded, mixed,
                  padded);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(Attend);

void attend(const OpAttributes& attr, const KvCache& cache, size_t layer, const AttentionInput& in,
            const AttentionUnit& unit, float* mixed, float* top, float* sum) {
  HWY_DYNAMIC_DISPATCH(Attend)(attr, cache, layer, in, unit, mixed, top, sum);
}

}  // namespace pare
#endif  // HWY_ONCE

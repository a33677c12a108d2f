#include "model/exec_native/vector_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/vector_ops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format off: after highway.h, once for each instruction set
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

// A vector from x[i, n), what is beyond n being zero.
HWY_INLINE Vector load_tail(const float* x, int64_t i, int64_t n) {
  HWY_ALIGN float part[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(part, x + i, static_cast<size_t>(n - i) * sizeof(float));
  return hn::Load(Floats(), part);
}

HWY_INLINE void store_tail(Vector v, float* out, int64_t i, int64_t n) {
  HWY_ALIGN float part[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, Floats(), part);
  std::memcpy(out + i, part, static_cast<size_t>(n - i) * sizeof(float));
}

// out[i] = f(a[i]) and out[i] = f(a[i], b[i]).
template <typename F>
HWY_INLINE void map(const float* a, int64_t n, float* out, const F& f) {
  const Floats d;
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) hn::StoreU(f(hn::LoadU(d, a + i)), d, out + i);
  if (i < n) store_tail(f(load_tail(a, i, n)), out, i, n);
}
template <typename F>
HWY_INLINE void map(const float* a, const float* b, int64_t n, float* out, const F& f) {
  const Floats d;
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) {
    hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  }
  if (i < n) store_tail(f(load_tail(a, i, n), load_tail(b, i, n)), out, i, n);
}

// The sum of f(x[i]); four partial sums, so that additions overlap. f(0) must be 0.
template <typename F>
HWY_INLINE float sum_of(const float* x, int64_t n, const F& f) {
  const Floats d;
  Vector s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes() <= n; i += 4 * lanes()) {
    s0 = hn::Add(s0, f(hn::LoadU(d, x + i)));
    s1 = hn::Add(s1, f(hn::LoadU(d, x + i + lanes())));
    s2 = hn::Add(s2, f(hn::LoadU(d, x + i + 2 * lanes())));
    s3 = hn::Add(s3, f(hn::LoadU(d, x + i + 3 * lanes())));
  }
  for (; i + lanes() <= n; i += lanes()) s0 = hn::Add(s0, f(hn::LoadU(d, x + i)));
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  if (i < n) sum += hn::GetLane(hn::SumOfLanes(d, f(load_tail(x, i, n))));
  return sum;
}

void RmsNorm(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  const float squares = sum_of(x, n, [](Vector v) HWY_ATTR { return hn::Mul(v, v); });
  const float factor = 1.0f / std::sqrt(squares / static_cast<float>(n) + epsilon);
  const Vector f = hn::Set(Floats(), factor);
  map(x, weight, n, out, [f](Vector v, Vector w) HWY_ATTR { return hn::Mul(hn::Mul(v, f), w); });
}

void LayerNorm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
               float* out) {
  const Floats d;
  const float mean = sum_of(x, n, [](Vector v) HWY_ATTR { return v; }) / static_cast<float>(n);
  const Vector m = hn::Set(d, mean);
  map(x, n, out, [m](Vector v) HWY_ATTR { return hn::Sub(v, m); });
  const float squares = sum_of(out, n, [](Vector v) HWY_ATTR { return hn::Mul(v, v); });
  const Vector f = hn::Set(d, 1.0f / std::sqrt(squares / static_cast<float>(n) + epsilon));
  map(out, weight, n, out, [f](Vector v, Vector w) HWY_ATTR { return hn::Mul(hn::Mul(v, f), w); });
  if (bias != nullptr) {
    map(out, bias, n, out, [](Vector v, Vector b) HWY_ATTR { return hn::Add(v, b); });
  }
}

void AddRows(const float* a, const float* b, int64_t n, float* out) {
  map(a, b, n, out, [](Vector v, Vector w) HWY_ATTR { return hn::Add(v, w); });
}

void MultiplyRows(const float* a, const float* b, int64_t n, float* out) {
  map(a, b, n, out, [](Vector v, Vector w) HWY_ATTR { return hn::Mul(v, w); });
}

void ScaleRow(const float* x, float factor, int64_t n, float* out) {
  const Vector f = hn::Set(Floats(), factor);
  map(x, n, out, [f](Vector v) HWY_ATTR { return hn::Mul(v, f); });
}

void SoftcapRow(const float* x, float factor, int64_t n, float* out) {
  const Floats d;
  const Vector f = hn::Set(d, factor), inverse = hn::Set(d, 1.0f / factor);
  map(x, n, out, [=](Vector v) HWY_ATTR { return hn::Mul(hn::Tanh(d, hn::Mul(v, inverse)), f); });
}

HWY_INLINE Vector Silu(Vector v) {
  const Floats d;
  // Beyond 88 the exponential would leave floats; x / 1e38 is zero for all purposes. Below -30 it
  // is nothing beside 1, and far below so small that CPUs take a hundred cycles for it.
  const Vector e = hn::Exp(d, hn::Clamp(hn::Neg(v), hn::Set(d, -30.0f), hn::Set(d, 88.0f)));
  return hn::Div(v, hn::Add(hn::Set(d, 1.0f), e));
}

HWY_INLINE Vector GeluTanh(Vector v) {
  const Floats d;
  const Vector cube = hn::Mul(hn::Mul(v, v), v);
  const Vector inner =
      hn::Mul(hn::Set(d, 0.7978845608028654f), hn::MulAdd(hn::Set(d, 0.044715f), cube, v));
  const Vector half = hn::Mul(hn::Set(d, 0.5f), v);
  return hn::MulAdd(half, hn::Tanh(d, inner), half);
}

// erf by formula 7.1.26 of Abramowitz and Stegun: within 1.5e-7.
HWY_INLINE Vector GeluErf(Vector v) {
  const Floats d;
  const Vector one = hn::Set(d, 1.0f);
  const Vector x = hn::Mul(hn::Abs(v), hn::Set(d, 0.7071067811865476f));
  const Vector t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), x, one));
  Vector p = hn::Set(d, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const Vector erf = hn::NegMulAdd(hn::Mul(p, t), hn::Exp(d, hn::Neg(hn::Mul(x, x))), one);
  const Vector half = hn::Mul(hn::Set(d, 0.5f), v);
  return hn::MulAdd(half, hn::CopySign(erf, v), half);
}

template <typename F>
HWY_INLINE void activate_with(const float* x, const float* gated, int64_t n, float* out,
                              const F& f) {
  if (gated == nullptr) {
    map(x, n, out, [&](Vector v) HWY_ATTR { return f(v); });
  } else {
    map(x, gated, n, out, [&](Vector v, Vector g) HWY_ATTR { return hn::Mul(f(v), g); });
  }
}

void Activate(OpKind kind, const float* x, const float* gated, int64_t n, float* out) {
  switch (kind) {
    case OpKind::kSilu:
      return activate_with(x, gated, n, out, [](Vector v) HWY_ATTR { return Silu(v); });
    case OpKind::kGeluTanh:
      return activate_with(x, gated, n, out, [](Vector v) HWY_ATTR { return GeluTanh(v); });
    default:
      return activate_with(x, gated, n, out, [](Vector v) HWY_ATTR { return GeluErf(v); });
  }
}

// The rows' halves are vectors of their own; interleaved pairs are turned one by one.
void Rope(const float* x, const float* cos, const float* sin, int64_t pairs, RopeLayout layout,
          int64_t heads, int64_t head_dim, float* out) {
  const Floats d;
  for (int64_t h = 0; h < heads; ++h, x += head_dim, out += head_dim) {
    if (layout == RopeLayout::kHalves) {
      int64_t i = 0;
      for (; i + lanes() <= pairs; i += lanes()) {
        const Vector c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
        const Vector a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + pairs + i);
        hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, out + i);
        hn::StoreU(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, out + pairs + i);
      }
      for (; i < pairs; ++i) {
        const float a = x[i], b = x[pairs + i];
        out[i] = a * cos[i] - b * sin[i];
        out[pairs + i] = b * cos[i] + a * sin[i];
      }
    } else {
      for (int64_t i = 0; i < pairs; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        out[2 * i] = a * cos[i] - b * sin[i];
        out[2 * i + 1] = b * cos[i] + a * sin[i];
      }
    }
    if (out != x) std::copy(x + 2 * pairs, x + head_dim, out + 2 * pairs);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(RmsNorm);
HWY_EXPORT(LayerNorm);
HWY_EXPORT(AddRows);
HWY_EXPORT(MultiplyRows);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(SoftcapRow);
HWY_EXPORT(Activate);
HWY_EXPORT(Rope);

void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, epsilon, n, out);
}
void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* out) {
  HWY_DYNAMIC_DISPATCH(LayerNorm)(x, weight, bias, epsilon, n, out);
}
void add(const float* a, const float* b, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(AddRows)(a, b, n, out);
}
void multiply(const float* a, const float* b, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(MultiplyRows)(a, b, n, out);
}
void scale(const float* x, float factor, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(x, factor, n, out);
}
void softcap(const float* x, float factor, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(SoftcapRow)(x, factor, n, out);
}
void activate(OpKind kind, const float* x, const float* gated, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Activate)(kind, x, gated, n, out);
}
void rope(const float* x, const float* cos, const float* sin, int64_t pairs, RopeLayout layout,
          int64_t heads, int64_t head_dim, float* out) {
  HWY_DYNAMIC_DISPATCH(Rope)(x, cos, sin, pairs, layout, heads, head_dim, out);
}

}  // namespace pare
#endif  // HWY_ONCE

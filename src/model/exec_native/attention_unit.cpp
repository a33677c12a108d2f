#include "model/exec_native/attention_unit.h"

#include <vector>

#include "kernels/core.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/attention_unit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format off: after highway.h, once for each instruction set
#include "model/exec_native/attention_rows-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {

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
  const Rows rows{attr, in, unit};
  const int64_t head_dim = attr.head_dim, padded = padded_value_dim(attr.value_dim);
  thread_local Scratch scratch;
  scratch.resize(rows.count, head_dim, attr.value_dim, padded);
  rows.start(scratch.q.data(), top, sum);
  std::fill(mixed, mixed + rows.count * padded, 0.0f);
  for (int64_t begin = unit.begin; begin < unit.end; begin += kKeysAtOnce) {
    const int64_t count = std::min(kKeysAtOnce, unit.end - begin);
    const int64_t width = (count + 2 * lanes() - 1) / (2 * lanes()) * (2 * lanes());
    float* scores = scratch.scores.data();
    cache.load_keys(layer, unit.kv_head, begin, count, scratch.keys.data(), kKeysAtOnce);
    cache.load_values(layer, unit.kv_head, begin, count, scratch.values.data(), padded);
    const auto [first, last] = rows.that_see(begin, count);
    product<false>(scratch.q.data() + first * head_dim, head_dim, scratch.keys.data(), kKeysAtOnce,
                   head_dim, last - first, width, scores + first * kKeysAtOnce, kKeysAtOnce);
    for (int64_t r = first; r < last; ++r) {
      const float keep =
          weigh(rows, r, begin, count, width, scores + r * kKeysAtOnce, top + r, sum + r);
      if (keep != 1.0f) scale_row(mixed + r * padded, keep, padded);
    }
    product<true>(scores + first * kKeysAtOnce, kKeysAtOnce, scratch.values.data(), padded, count,
                  last - first, padded, mixed + first * padded, padded);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(Attend);

namespace {
// With more, keys and values are best unpacked first.
constexpr int64_t kFewRows = 32;

// Null for few tokens, which take the same way as one.
const Bf16Core* bf16_for(int64_t tokens) {
  const Bf16Core* bf16 = core(cpu_level()).bf16;
  return bf16 != nullptr && tokens > kFewBesideBf16 ? bf16 : nullptr;
}
}  // namespace

int64_t rows_at_once(int64_t tokens) { return bf16_for(tokens) != nullptr ? 256 : 128; }

void attend(const OpAttributes& attr, const KvCache& cache, size_t layer, const AttentionInput& in,
            const AttentionUnit& unit, float* mixed, float* top, float* sum) {
  if (const Bf16Core* bf16 = bf16_for(in.tokens)) {
    return attend_bf16(*bf16, attr, cache, layer, in, unit, mixed, top, sum);
  }
  const int64_t rows = unit.tokens * attr.heads / attr.kv_heads;
  if (rows <= kFewRows && attr.head_dim % 2 == 0 && attr.value_dim % 16 == 0) {
    return attend_few(attr, cache, layer, in, unit, mixed, top, sum);
  }
  HWY_DYNAMIC_DISPATCH(Attend)(attr, cache, layer, in, unit, mixed, top, sum);
}

}  // namespace pare
#endif  // HWY_ONCE

#include "model/exec_native/attention_unit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/core.h"

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
    product<false>(scratch.q.data(), head_dim, scratch.keys.data(), kKeysAtOnce, head_dim,
                   rows.count, width, scores, kKeysAtOnce);
    for (int64_t r = 0; r < rows.count; ++r) {
      const float keep =
          weigh(rows, r, begin, count, width, scores + r * kKeysAtOnce, top + r, sum + r);
      if (keep != 1.0f) scale_row(mixed + r * padded, keep, padded);
    }
    product<true>(scores, kKeysAtOnce, scratch.values.data(), padded, count, rows.count, padded,
                  mixed, padded);
  }
}

// --- the same with products of bfloat16 ---

constexpr int64_t kTileRows = Bf16Core::kRows, kTileSums = Bf16Core::kRows * Bf16Core::kTokens;

// Of every float: two hold a binary16 number, and leave 2^-17 of another at the most; three hold
// any.
int parts_for(CodecId cache) { return cache == CodecId::kF32 ? 3 : 2; }

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

struct Bf16Scratch {
  std::vector<float> q, keys, values;
  // Rows of queries and of weights as panels, keys and values as tiles.
  AlignedBuffer<uint16_t> q_panel, weight_panel, key_tiles, value_tiles;
  AlignedBuffer<float> scores, mixed;  // in tiles
};

void AttendBf16(const Bf16Core& bf16, const OpAttributes& attr, const KvCache& cache, size_t layer,
                const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
                float* sum) {
  const Rows rows{attr, in, unit};
  const int parts = parts_for(cache.form());
  const int64_t padded = padded_value_dim(attr.value_dim);
  const int64_t depth = round_up(attr.head_dim, Bf16Core::kColumns);
  const int64_t tile_rows = round_up(rows.count, kTileRows), pair_rows = round_up(rows.count, 32);
  const auto size = [](int64_t n) { return static_cast<size_t>(n); };
  thread_local Bf16Scratch s;
  s.q.resize(size(rows.count * attr.head_dim));
  s.keys.assign(size(depth * kKeysAtOnce), 0.0f);     // columns behind the head's stay zero
  s.values.assign(size(kKeysAtOnce * padded), 0.0f);  // and so do keys that are not there
  rows.start(s.q.data(), top, sum);

  // Rows that are not there stay zero.
  const auto panel = [&](AlignedBuffer<uint16_t>& buffer, int64_t columns) {
    const int64_t part = pair_rows * columns;
    std::fill_n(buffer.reserve(size(parts * part)), parts * part, uint16_t{0});
    return Bf16Panel{buffer.data(), rows.count, Bf16Layout::pair_stride(columns), part, parts};
  };
  const auto set_row = [&](const Bf16Panel& p, AlignedBuffer<uint16_t>& buffer, int64_t r,
                           const float* x, int64_t columns) {
    bf16.from_floats(x, columns, parts, buffer.data() + Bf16Panel::row(r, p.pair_stride),
                     Bf16Layout::kStep, p.part_stride);
  };
  const Bf16Panel queries = panel(s.q_panel, depth), weights = panel(s.weight_panel, kKeysAtOnce);
  for (int64_t r = 0; r < rows.count; ++r) {
    set_row(queries, s.q_panel, r, s.q.data() + r * attr.head_dim, attr.head_dim);
  }
  // A key is a "token" of the first product, a column of values one of the second.
  const auto tiles_of = [&](AlignedBuffer<uint16_t>& buffer, int64_t tokens, int64_t columns) {
    const int64_t part = round_up(tokens, 32) * columns;
    return Bf16Tiles{buffer.reserve(size(parts * part)), tokens, Bf16Layout::pair_stride(columns),
                     part, parts};
  };
  const Bf16Tiles keys = tiles_of(s.key_tiles, kKeysAtOnce, depth);
  const Bf16Tiles values = tiles_of(s.value_tiles, padded, kKeysAtOnce);
  const auto interleave = [&](const Bf16Tiles& tiles, const float* x, int64_t stride,
                              int64_t columns) {
    for (int64_t t = 0; t < tiles.tokens; t += Bf16Core::kTokens) {
      bf16.interleave_columns(x + t, stride, columns, parts,
                              const_cast<uint16_t*>(tiles.x) +
                                  Bf16Layout::tile(t / Bf16Core::kTokens, tiles.pair_stride),
                              tiles.part_stride);
    }
  };
  float* scores = s.scores.reserve(size(tile_rows * kKeysAtOnce));
  float* results = s.mixed.reserve(size(tile_rows * padded));
  std::fill(results, results + tile_rows * padded, 0.0f);
  // Where 16 columns of row r begin, in tiles of sums.
  const auto at = [&](float* tiles, int64_t r, int64_t column) {
    return tiles + column * tile_rows + r / kTileRows * kTileSums + r % kTileRows * kTileRows;
  };
  HWY_ALIGN float row[kKeysAtOnce];
  for (int64_t begin = unit.begin; begin < unit.end; begin += kKeysAtOnce) {
    const int64_t count = std::min(kKeysAtOnce, unit.end - begin);
    cache.load_keys(layer, unit.kv_head, begin, count, s.keys.data(), kKeysAtOnce);
    cache.load_values(layer, unit.kv_head, begin, count, s.values.data(), padded);
    std::fill(s.values.begin() + count * padded, s.values.end(), 0.0f);
    interleave(keys, s.keys.data(), kKeysAtOnce, depth);
    interleave(values, s.values.data(), padded, kKeysAtOnce);
    bf16.multiply(queries, keys, depth, true, scores);
    for (int64_t r = 0; r < rows.count; ++r) {
      for (int64_t j = 0; j < kKeysAtOnce; j += 16) std::copy_n(at(scores, r, j), 16, row + j);
      const float keep = weigh(rows, r, begin, count, kKeysAtOnce, row, top + r, sum + r);
      set_row(weights, s.weight_panel, r, row, kKeysAtOnce);
      if (keep == 1.0f) continue;
      for (int64_t c = 0; c < padded; c += 16) scale_row(at(results, r, c), keep, 16);
    }
    bf16.multiply(weights, values, kKeysAtOnce, false, results);
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    for (int64_t c = 0; c < padded; c += 16) {
      std::copy_n(at(results, r, c), 16, mixed + r * padded + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(Attend);
HWY_EXPORT(AttendBf16);

namespace {
// Few tokens take the same way as one, which drafts rely on: null.
const Bf16Core* bf16_for(int64_t tokens) {
  const Bf16Core* bf16 = core(cpu_level()).bf16;
  return bf16 != nullptr && tokens > kAlikeTokens ? bf16 : nullptr;
}
}  // namespace

int64_t rows_at_once(int64_t tokens) { return bf16_for(tokens) != nullptr ? 256 : 64; }

void attend(const OpAttributes& attr, const KvCache& cache, size_t layer, const AttentionInput& in,
            const AttentionUnit& unit, float* mixed, float* top, float* sum) {
  if (const Bf16Core* bf16 = bf16_for(in.tokens)) {
    return HWY_DYNAMIC_DISPATCH(AttendBf16)(*bf16, attr, cache, layer, in, unit, mixed, top, sum);
  }
  HWY_DYNAMIC_DISPATCH(Attend)(attr, cache, layer, in, unit, mixed, top, sum);
}

}  // namespace pare
#endif  // HWY_ONCE

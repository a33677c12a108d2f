// Attention of few rows of queries, as with one token: reading the cache is the bound. Keys and
// values meet all rows as they are read, and nothing of them is stored.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/attention_few.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <vector>

#include "model/exec_native/attention_unit.h"
// clang-format off: after highway.h, once for each instruction set
#include "model/exec_native/attention_rows-inl.h"
#include "model/exec_native/kv_read-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {

// Keys and values are asked for one chunk before they are needed, line by line among the products:
// many at once would wait for each other.
HWY_INLINE void ask(const std::byte* p, int64_t ahead) {  // maybe behind the cache
  const uintptr_t there = reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(ahead);
  __builtin_prefetch(reinterpret_cast<const void*>(there), 0, 2);
}

// scores[r * kKeysAtOnce + i] = the product of row r of q with key i of the chunk, for kRows rows
// and kVectors vectors of keys from key `first`.
template <int kRows, int kVectors, class Form>
HWY_INLINE void score(Form form, const KeyTiles& keys, int64_t first, const float* q, int64_t dim,
                      float* scores) {
  const Floats d;
  const int64_t ahead = kKeysAtOnce / kKeyTile * keys.tile_bytes;
  const std::byte* tile[kVectors];
  int64_t slot[kVectors];
  Vector sums[kRows][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const int64_t key = first + v * lanes();
    tile[v] = keys.first + key / kKeyTile * keys.tile_bytes;
    slot[v] = key % kKeyTile;
    for (auto& row : sums) row[v] = hn::Zero(d);
  }
  for (int64_t begin = 0; begin < dim; begin += 32) {
    Vector scale[kVectors];
    for (int v = 0; v < kVectors; ++v) scale[v] = form.key_scale(tile[v], dim, begin, slot[v]);
    for (int64_t c = begin; c < std::min(begin + 32, dim); c += 2) {
      for (int v = 0; v < kVectors; ++v) {
        Vector even, odd;
        form.keys(tile[v], c, slot[v], scale[v], &even, &odd);
        for (int64_t i = 0; i < 2 * form.kColumnBytes; i += 64) {
          const int64_t byte = c * form.kColumnBytes + i;
          if (byte % 64 == 0) ask(tile[v] + byte, ahead);
        }
        for (int r = 0; r < kRows; ++r) {
          sums[r][v] = hn::MulAdd(hn::Set(d, q[r * dim + c]), even, sums[r][v]);
          sums[r][v] = hn::MulAdd(hn::Set(d, q[r * dim + c + 1]), odd, sums[r][v]);
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[r][v], d, scores + r * kKeysAtOnce + first + v * lanes());
    }
  }
}

// mixed[r * stride + c] += the sum of weights[r * kKeysAtOnce + i] times column c of value i, for
// kRows rows and kVectors vectors of columns.
template <int kRows, int kVectors, class Form>
HWY_INLINE void mix(Form form, const ValueRows& values, int64_t count, int64_t c,
                    const float* weights, float* mixed, int64_t stride) {
  const Floats d;
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = hn::LoadU(d, mixed + r * stride + c + v * lanes());
    }
  }
  const int64_t ahead = kKeysAtOnce * values.row_bytes;
  const std::byte* row = values.first;
  for (int64_t i = 0; i < count; ++i, row += values.row_bytes) {
    for (int v = 0; v < kVectors; ++v) {
      const Vector value = form.value(row, c + v * lanes());
      if (v * lanes() * form.kValueBits % 512 == 0) {
        ask(row + (c + v * lanes()) * form.kValueBits / 8, ahead);
      }
      for (int r = 0; r < kRows; ++r) {
        sums[r][v] = hn::MulAdd(hn::Set(d, weights[r * kKeysAtOnce + i]), value, sums[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[r][v], d, mixed + r * stride + c + v * lanes());
    }
  }
}

// Sums that fit the registers, of which there are 32 or 16.
constexpr int kSums = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 16 : 8;

// Calls body.operator()<rows, vectors>(first row, first lane) for all rows and lanes, at most
// kMostRows and so many vectors at once that their sums fit the registers.
template <int kMostRows, class Body>
HWY_INLINE void in_blocks(int64_t rows, int64_t end, const Body& body) {
  constexpr int kVectors = kSums / kMostRows;
  const auto all_rows = [&]<int kCount>(int64_t lane) HWY_ATTR {
    int64_t r = 0;
    for (; r + kMostRows <= rows; r += kMostRows) {
      body.template operator()<kMostRows, kCount>(r, lane);
    }
    if constexpr (kMostRows > 4) {
      if (rows - r >= 4) body.template operator()<4, kCount>(r, lane), r += 4;
    }
    if constexpr (kMostRows > 2) {
      if (rows - r == 3) body.template operator()<3, kCount>(r, lane);
      if (rows - r == 2) body.template operator()<2, kCount>(r, lane);
    }
    if (rows - r == 1) body.template operator()<1, kCount>(r, lane);
  };
  int64_t lane = 0;
  for (; lane + kVectors * lanes() <= end; lane += kVectors * lanes()) {
    all_rows.template operator()<kVectors>(lane);
  }
  for (; lane < end; lane += lanes()) all_rows.template operator()<1>(lane);
}

template <int kMostRows, class Form>
HWY_INLINE void attend_form(Form form, const Rows& rows, const KvCache& cache, size_t layer,
                            float* mixed, float* top, float* sum) {
  const OpAttributes& attr = rows.attr;
  const int64_t dim = attr.head_dim, stride = padded_value_dim(attr.value_dim);
  thread_local std::vector<float> q, scores;
  q.resize(static_cast<size_t>(rows.count * dim));
  scores.resize(static_cast<size_t>(rows.count * kKeysAtOnce));
  rows.start(q.data(), top, sum);
  std::fill(mixed, mixed + rows.count * stride, 0.0f);
  for (int64_t begin = rows.unit.begin; begin < rows.unit.end; begin += kKeysAtOnce) {
    const int64_t count = std::min(kKeysAtOnce, rows.unit.end - begin);
    const KeyTiles keys = cache.keys(layer, rows.unit.kv_head, begin);
    const ValueRows values = cache.values(layer, rows.unit.kv_head, begin);
    if (begin == rows.unit.begin) {
      for (int64_t i = 0; i < count * values.row_bytes; i += 64) ask(values.first + i, 0);
    }
    const int64_t width = (count + kKeyTile - 1) / kKeyTile * kKeyTile;
    in_blocks<kMostRows>(rows.count, width,
                         [&]<int kRows, int kVectors>(int64_t r, int64_t first) HWY_ATTR {
                           score<kRows, kVectors>(form, keys, first, q.data() + r * dim, dim,
                                                  scores.data() + r * kKeysAtOnce);
                         });
    for (int64_t r = 0; r < rows.count; ++r) {
      float* row = scores.data() + r * kKeysAtOnce;
      const float keep = weigh(rows, r, begin, count, width, row, top + r, sum + r);
      if (keep != 1.0f) scale_row(mixed + r * stride, keep, attr.value_dim);
    }
    in_blocks<kMostRows>(
        rows.count, attr.value_dim, [&]<int kRows, int kVectors>(int64_t r, int64_t c) HWY_ATTR {
          mix<kRows, kVectors>(form, values, count, c, scores.data() + r * kKeysAtOnce,
                               mixed + r * stride, stride);
        });
  }
}

void AttendFew(const OpAttributes& attr, const KvCache& cache, size_t layer,
               const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
               float* sum) {
  const Rows rows{attr, in, unit};
  kv::with_form(cache.form(), [&](auto form) HWY_ATTR {
    if (rows.count <= 2) {
      attend_form<2>(form, rows, cache, layer, mixed, top, sum);
    } else if (rows.count <= 4) {
      attend_form<4>(form, rows, cache, layer, mixed, top, sum);
    } else {
      attend_form<kSums / 2>(form, rows, cache, layer, mixed, top, sum);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(AttendFew);

void attend_few(const OpAttributes& attr, const KvCache& cache, size_t layer,
                const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
                float* sum) {
  HWY_DYNAMIC_DISPATCH(AttendFew)(attr, cache, layer, in, unit, mixed, top, sum);
}

}  // namespace pare
#endif  // HWY_ONCE

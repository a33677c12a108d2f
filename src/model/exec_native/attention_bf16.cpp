// Attention with products of bfloat16, for cores that have them.
#include <vector>

#include "kernels/aligned.h"
#include "kernels/core.h"
#include "model/exec_native/attention_unit.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/attention_bf16.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format off: after highway.h, once for each instruction set
#include "model/exec_native/attention_rows-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {

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
HWY_EXPORT(AttendBf16);

void attend_bf16(const Bf16Core& bf16, const OpAttributes& attr, const KvCache& cache, size_t layer,
                 const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
                 float* sum) {
  HWY_DYNAMIC_DISPATCH(AttendBf16)(bf16, attr, cache, layer, in, unit, mixed, top, sum);
}

}  // namespace pare
#endif  // HWY_ONCE

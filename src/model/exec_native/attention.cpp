#include "model/exec_native/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/core.h"
#include "model/exec_native/attention_unit.h"

namespace pare {
namespace {

// Where there are few tokens: long contexts keep all threads busy.
constexpr int64_t kKeysOfUnit = 256;

// How the work is cut; never by the number of threads. Few tokens are one tile, and chunks of keys
// begin where they would for each of them alone: what one token gets is the same, bit for bit.
struct Cut {
  int64_t group, tile, tiles, first_key, end_key, first_chunk, chunks;
  Cut(const OpAttributes& attr, const AttentionInput& in) {
    group = attr.heads / attr.kv_heads;
    const bool few = in.tokens <= kAlikeTokens;
    tile = few ? in.tokens : std::max<int64_t>(1, rows_at_once(in.tokens) / group);
    tiles = (in.tokens + tile - 1) / tile;
    end_key = in.position + in.tokens;
    first_key = first_visible(attr, in.position);
    first_chunk = first_key / kKeysOfUnit;
    chunks = tiles > 1 ? 1 : (end_key - 1) / kKeysOfUnit - first_chunk + 1;
  }
  // The tile of keys in which the first lies that a token at `position` may see.
  static int64_t first_visible(const OpAttributes& attr, int64_t position) {
    if (attr.window <= 0) return 0;
    return std::max<int64_t>(0, position + 1 - attr.window) / kKeysAtOnce * kKeysAtOnce;
  }
  AttentionUnit unit(const OpAttributes& attr, const AttentionInput& in, int64_t kv_head, int64_t t,
                     int64_t chunk) const {
    AttentionUnit u{.kv_head = kv_head, .first_token = t * tile};
    u.tokens = std::min(tile, in.tokens - u.first_token);
    u.begin = first_visible(attr, in.position + u.first_token);
    u.end = in.position + u.first_token + u.tokens;
    if (chunks > 1) {
      u.begin = std::max(u.begin, (first_chunk + chunk) * kKeysOfUnit);
      u.end = std::min(u.end, (first_chunk + chunk + 1) * kKeysOfUnit);
    }
    return u;
  }
};

// One unit's results: mixed values, then tops, then sums.
struct Partial {
  float *mixed, *top, *sum;
  static int64_t floats(int64_t rows, int64_t padded) { return rows * (padded + 2); }
  Partial(float* at, int64_t rows, int64_t padded)
      : mixed(at), top(at + rows * padded), sum(top + rows) {}
};

}  // namespace

void attention(const OpAttributes& attr, const KvCache& cache, size_t layer,
               const AttentionInput& in, float* out, int64_t out_stride,
               std::vector<float>* scratch, ThreadPool& pool) {
  const Cut cut(attr, in);
  const int64_t padded = padded_value_dim(attr.value_dim);
  const int64_t rows = std::min(cut.tile, in.tokens) * cut.group;
  const int64_t size = Partial::floats(rows, padded);
  const int64_t units = attr.kv_heads * cut.tiles * cut.chunks;
  // Writes row r of a unit's result, divided by the sum of its exponentials.
  const auto write = [&](const AttentionUnit& unit, int64_t r, const float* mixed, float sum) {
    const int64_t token = unit.first_token + r / cut.group;
    const int64_t head = unit.kv_head * cut.group + r % cut.group;
    float* to = out + token * out_stride + head * attr.value_dim;
    const float factor = 1.0f / sum;
    for (int64_t c = 0; c < attr.value_dim; ++c) to[c] = mixed[c] * factor;
  };
  if (cut.chunks == 1) {
    pool.parallel_for(static_cast<size_t>(units), [&](size_t index) {
      // Later tokens see more keys: the longest units first.
      const int64_t i = units - 1 - static_cast<int64_t>(index);
      const AttentionUnit unit = cut.unit(attr, in, i % attr.kv_heads, i / attr.kv_heads, 0);
      thread_local std::vector<float> own;
      own.resize(static_cast<size_t>(size));
      const Partial part(own.data(), rows, padded);
      attend(attr, cache, layer, in, unit, part.mixed, part.top, part.sum);
      for (int64_t r = 0; r < unit.tokens * cut.group; ++r) {
        write(unit, r, part.mixed + r * padded, part.sum[r]);
      }
    });
    return;
  }
  scratch->resize(static_cast<size_t>(units * size));
  const auto partial = [&](int64_t kv_head, int64_t chunk) {
    return Partial(scratch->data() + (kv_head * cut.chunks + chunk) * size, rows, padded);
  };
  pool.parallel_for(static_cast<size_t>(units), [&](size_t index) {
    const auto i = static_cast<int64_t>(index);
    const Partial part = partial(i / cut.chunks, i % cut.chunks);
    attend(attr, cache, layer, in, cut.unit(attr, in, i / cut.chunks, 0, i % cut.chunks),
           part.mixed, part.top, part.sum);
  });
  // Chunks are put together in their order.
  pool.parallel_for(static_cast<size_t>(attr.kv_heads), [&](size_t head) {
    const auto kv_head = static_cast<int64_t>(head);
    const AttentionUnit unit = cut.unit(attr, in, kv_head, 0, 0);
    const Partial first = partial(kv_head, 0);
    for (int64_t r = 0; r < rows; ++r) {
      float top = first.top[r];
      for (int64_t c = 1; c < cut.chunks; ++c) top = std::max(top, partial(kv_head, c).top[r]);
      float sum = 0.0f;
      for (int64_t c = 0; c < cut.chunks; ++c) {
        const Partial part = partial(kv_head, c);
        const float weight = part.sum[r] == 0.0f ? 0.0f : std::exp(part.top[r] - top);
        sum += part.sum[r] * weight;
        const float* from = part.mixed + r * padded;
        float* to = first.mixed + r * padded;
        for (int64_t i = 0; i < attr.value_dim; ++i) {
          to[i] = c == 0 ? from[i] * weight : to[i] + from[i] * weight;
        }
      }
      write(unit, r, first.mixed + r * padded, sum);
    }
  });
}

}  // namespace pare

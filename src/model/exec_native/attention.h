// Causal softmax attention over the cache: grouped queries, windows, soft caps. Softmax is taken
// in one pass over tiles of keys (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018; Dao et al., "FlashAttention", 2022): scores of one tile are all that exists.
#pragma once

#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "model/exec_native/kv_cache.h"
#include "model/graph.h"

namespace pare {

struct AttentionInput {
  const float* q = nullptr;  // [tokens][q_stride]: heads * head_dim columns
  int64_t q_stride = 0;
  int64_t tokens = 0;
  int64_t position = 0;  // of the first; keys and values of all tokens are in the cache
};

// out[t * out_stride + h * value_dim + c]. Memory between the passes of a long context is kept
// in `scratch`. Sums do not depend on the number of threads.
void attention(const OpAttributes& attr, const KvCache& cache, size_t layer,
               const AttentionInput& in, float* out, int64_t out_stride,
               std::vector<float>* scratch, ThreadPool& pool);

}  // namespace pare

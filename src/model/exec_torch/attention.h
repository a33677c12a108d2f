// Causal softmax attention with grouped queries, sliding windows and soft caps.
#pragma once

#include "model/exec_torch/torch.h"
#include "model/graph.h"

namespace pare {

// [batch, length, heads * dim] -> [batch * heads, length, dim].
torch::Tensor split_heads(const torch::Tensor& x, int64_t heads);

// q: [batch, length, heads * head_dim], k: [batch * kv_heads, past + length, head_dim], v: the same
// with value_dim -> [batch, length, heads * value_dim]. The first `past` keys are of tokens before
// the first query (a text run piece by piece). Head h reads key-value head
// h / (heads / kv_heads). Works under autograd. Memory: scores of kQueryChunk positions at a time.
torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const OpAttributes& attr);

}  // namespace pare

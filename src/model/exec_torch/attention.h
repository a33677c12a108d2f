// Causal softmax attention with grouped queries, sliding windows and soft caps.
#pragma once

#include <torch/torch.h>

#include "model/graph.h"

namespace pare {

// q: [batch, length, heads * head_dim], k: [.., kv_heads * head_dim], v: [.., kv_heads *
// value_dim] -> [batch, length, heads * value_dim]. Keys may begin before the first query (a text
// run piece by piece): the last `length` of them are the queries' own. Head h reads key-value head
// h / (heads / kv_heads). Works under autograd. Memory: scores of kQueryChunk positions at a time.
torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const OpAttributes& attr);

}  // namespace pare

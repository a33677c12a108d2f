#include "model/exec_torch/attention.h"

#include <limits>

namespace pare {
namespace {

// Queries are taken in chunks so that keys to the right of a chunk cost nothing; small enough to
// skip most of the upper triangle, large enough for the matrix products to run at full speed.
constexpr int64_t kQueryChunk = 128;

// 0 where query `first_query + i` may see key `first_key + j`, else -infinity; the rows repeat
// for each head of a group: [group * queries, keys].
torch::Tensor make_mask(int64_t group, int64_t first_query, int64_t queries, int64_t first_key,
                        int64_t keys, int64_t window, const torch::TensorOptions& options) {
  torch::Tensor mask = torch::zeros({queries, keys}, options);
  if (queries > 1) {  // one query is asked with keys that it may see
    const auto positions = options.dtype(torch::kInt64);
    const torch::Tensor distance =
        torch::arange(first_query, first_query + queries, positions).unsqueeze(1) -
        torch::arange(first_key, first_key + keys, positions);
    torch::Tensor hidden = distance < 0;
    if (window > 0) hidden = hidden.logical_or(distance >= window);
    mask.masked_fill_(hidden, -std::numeric_limits<float>::infinity());
  }
  return mask.repeat({group, 1});
}

}  // namespace

torch::Tensor split_heads(const torch::Tensor& x, int64_t heads) {
  const int64_t batch = x.size(0), length = x.size(1), dim = x.size(2) / heads;
  return x.reshape({batch, length, heads, dim})
      .permute({0, 2, 1, 3})
      .reshape({batch * heads, length, dim});
}

torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const OpAttributes& attr) {
  const int64_t batch = q.size(0), length = q.size(1);
  const int64_t past = k.size(1) - length;
  const int64_t kv_heads = attr.kv_heads, group = attr.heads / attr.kv_heads;
  const int64_t value_dim = attr.value_dim;
  // One matrix product per key-value head: its group's queries are stacked.
  const torch::Tensor queries =
      q.reshape({batch, length, kv_heads, group, attr.head_dim}).permute({0, 2, 3, 1, 4});
  const torch::Tensor keys = k.transpose(1, 2);
  std::vector<torch::Tensor> chunks;
  for (int64_t begin = 0; begin < length; begin += kQueryChunk) {
    const int64_t count = std::min(kQueryChunk, length - begin);
    const int64_t at = past + begin;
    const int64_t first = attr.window > 0 ? std::max<int64_t>(0, at - attr.window + 1) : 0;
    const int64_t seen = at + count - first;
    const torch::Tensor mask = make_mask(group, at, count, first, seen, attr.window, q.options());
    const torch::Tensor chunk =
        queries.narrow(3, begin, count).reshape({batch * kv_heads, group * count, attr.head_dim});
    const torch::Tensor chunk_keys = keys.narrow(2, first, seen);
    torch::Tensor scores;
    if (attr.softcap != 0.0f) {
      scores = torch::bmm(chunk, chunk_keys) * (attr.scale / attr.softcap);
      scores = torch::tanh(scores) * attr.softcap + mask;
    } else {
      scores = torch::baddbmm(mask, chunk, chunk_keys, 1.0, attr.scale);
    }
    const torch::Tensor mixed = torch::bmm(torch::softmax(scores, -1), v.narrow(1, first, seen));
    chunks.push_back(mixed.reshape({batch, kv_heads, group, count, value_dim}));
  }
  const torch::Tensor all = chunks.size() == 1 ? chunks[0] : torch::cat(chunks, 3);
  return all.permute({0, 3, 1, 2, 4}).reshape({batch, length, kv_heads * group * value_dim});
}

}  // namespace pare

// The computation of a model as a short list of operations, in three parts: a prologue (tokens
// to stream), one list per block (stream to stream) and an epilogue (stream to logits). Blocks
// run one after another and share nothing but the stream, so that a model larger than memory
// is run with one block at a time. Executors interpret it; architectures build it.
//
// A value is a matrix [tokens, width] of floats, named by a small integer that is local to its
// part. Value kStream is the residual stream: it enters a part and leaves it under that name.
#pragma once

#include <cstdint>
#include <vector>

namespace pare {

using ValueId = int32_t;
inline constexpr ValueId kStream = 0;

enum class OpKind {
  kEmbedding,          // out = weight[token] * factor                         (no input)
  kPositionEmbedding,  // out = in + weight[position]
  kRmsNorm,            // over the row, or over each head_dim slice if attr.head_dim > 0
  kLayerNorm,          // weight and optional bias
  kLinear,             // out = in * weight^T + bias; weight is [out width, in width]
  kSlice,              // columns [attr.begin, attr.begin + attr.width) of in
  kRope,               // rotary position embedding on each head
  kAttention,          // causal softmax attention: in = {q, k, v}
  kAdd,                // in0 + in1
  kMul,                // in0 * in1
  kSilu,
  kGeluTanh,  // the tanh approximation
  kGeluErf,   // the exact one
  kScale,     // in * factor
  kSoftcap,   // factor * tanh(in / factor)
};

enum class RopeLayout {
  kInterleaved,  // pairs (2i, 2i+1): GGUF's form of llama
  kHalves,       // pairs (i, i + dims/2): "NeoX"
};

// How positions become angles: angle(i, pos) = pos * frequency(i).
struct RopeParams {
  RopeLayout layout = RopeLayout::kHalves;
  int dims = 0;  // rotated columns of each head (<= head_dim)
  float base = 10000.0f;
  // Scaling variants; a plain rope has factor 1 and no more.
  enum class Scaling { kNone, kLinear, kYarn, kLongRope } scaling = Scaling::kNone;
  float factor = 1.0f;                        // context extension
  float attention_factor = 1.0f;              // multiplies cos and sin (YaRN's mscale, LongRoPE)
  float beta_fast = 32.0f, beta_slow = 1.0f;  // YaRN's ramp
  int64_t original_context = 0;
  // Index into ModelDesc::tensors of per-frequency divisors (Llama 3's rope_freqs, LongRoPE's
  // short factors), or -1. For LongRoPE `long_factors` applies beyond original_context.
  int32_t factors = -1;
  int32_t long_factors = -1;

  friend bool operator==(const RopeParams&, const RopeParams&) = default;
};

struct OpAttributes {
  float factor = 1.0f;  // kEmbedding, kScale, kSoftcap
  float epsilon = 0.0f;
  int heads = 0, kv_heads = 0, head_dim = 0, value_dim = 0;
  float scale = 0.0f;    // attention: softmax(scale * q k^T)
  float softcap = 0.0f;  // attention logits: softcap * tanh(x / softcap); 0 = none
  int64_t window = 0;    // sliding attention: at most this many positions, self included; 0 = all
  int64_t begin = 0, width = 0;  // kSlice
  RopeParams rope;
};

struct Op {
  OpKind kind;
  ValueId out = kStream;
  std::vector<ValueId> in;
  int32_t weight = -1;  // index into ModelDesc::tensors
  int32_t bias = -1;
  OpAttributes attr;
};

using OpList = std::vector<Op>;

struct Graph {
  OpList prologue;
  std::vector<OpList> blocks;
  OpList epilogue;  // leaves the logits [tokens, vocabulary] in kStream
};

}  // namespace pare

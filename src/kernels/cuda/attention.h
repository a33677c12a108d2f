// Attention on the device: the cache of keys and values, rope and storing, and causal softmax
// attention with grouped queries, windows and soft caps.
#pragma once

#include "kernels/cuda/rows.h"

namespace pare::cuda {

inline constexpr int kMostHeadColumns = 256;

// Keys and values of one block of the model. Row (head * capacity + position) of keys has
// `key_columns` numbers; F32 and F16: of the form's kind, columns rounded up to a multiple of 4;
// Q8_0: signed bytes; Q4_0: bytes with columns j and j + 16 of 32. Scales (f16, one for 32 columns)
// lie apart.
struct KvLayer {
  CodecId form = CodecId::kF16;
  int64_t capacity = 0;
  int kv_heads = 0, key_columns = 0, value_columns = 0;
  uint8_t *keys = nullptr, *values = nullptr;
  uint16_t *key_scales = nullptr, *value_scales = nullptr;
};

// Bytes of one position of one head with `columns` numbers, without its scales.
int64_t kv_row_bytes(CodecId form, int64_t columns);
inline int64_t kv_scale_bytes(CodecId form, int64_t columns) {
  return form == CodecId::kQ8_0 || form == CodecId::kQ4_0 ? columns / 32 * 2 : 0;
}

struct StoreInput {
  FloatRows q, k, v;
  int64_t tokens = 0;
  int heads = 0, head_dim = 0, value_dim = 0;
  Turns q_turns, k_turns;  // without a table: stored as they are
  FloatRows q_out;         // written if q is turned; may be q
};
// Turns q and k and puts k and v at *position and behind.
void store_keys_values(Stream& stream, const StoreInput& in, const KvLayer& layer,
                       const int32_t* position);

struct AttentionInput {
  FloatRows q;
  int64_t tokens = 0;
  int heads = 0, head_dim = 0, value_dim = 0;
  float scale = 1.0f, softcap = 0.0f;
  int window = 0;
  int64_t longest = 0;  // *position + tokens is at most this
};

// Keys are taken in so many parts, whose results are put together in order.
inline constexpr int64_t kMostParts = 64;
int64_t attention_parts(const AttentionInput& in, const KvLayer& layer);

// Any form and any extents up to kMostHeadColumns, in float arithmetic. `scratch` has
// attention_scratch() floats.
int64_t attention_scratch(const AttentionInput& in, const KvLayer& layer);
void attention(Stream& stream, const AttentionInput& in, const KvLayer& layer,
               const int32_t* position, float* scratch, const Forms& out);

// One token in one kernel: turns q and k, stores k and v, attends (`in.q` is store.q). `counters`:
// attention_counters() zeros, which it leaves so.
int64_t attention_counters(const AttentionInput& in, const KvLayer& layer);
void attention_one(Stream& stream, const StoreInput& store, const AttentionInput& in,
                   const KvLayer& layer, const int32_t* position, float* scratch, int* counters,
                   float* out);

// attention() on tensor cores, for many tokens.
bool has_flash_attention(const AttentionInput& in, const KvLayer& layer);
void flash_attention(Stream& stream, const AttentionInput& in, const KvLayer& layer,
                     const int32_t* position, const FloatRows& out);

}  // namespace pare::cuda

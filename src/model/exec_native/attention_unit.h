// The inner part of attention.h: some rows of queries against a range of keys of one head.
#pragma once

#include <cstdint>

#include "kernels/bf16_core.h"
#include "model/exec_native/attention.h"

namespace pare {

inline constexpr int64_t kKeysAtOnce = 64;  // a tile of scores; a multiple of kKeyTile
inline constexpr int64_t kValuePad = 32;    // columns of results are padded to a multiple of it

inline int64_t padded_value_dim(int64_t value_dim) {
  return (value_dim + kValuePad - 1) / kValuePad * kValuePad;
}

// How many rows of queries share a pass over keys and values, where there are many tokens.
int64_t rows_at_once(int64_t tokens);

// Rows are (token, head of the group), heads fastest.
struct AttentionUnit {
  int64_t kv_head = 0;
  int64_t first_token = 0, tokens = 0;  // of AttentionInput
  int64_t begin = 0, end = 0;           // positions of keys; begin is a multiple of kKeysAtOnce
};

// mixed[row][padded_value_dim]: sum of exp(score - top) value; top[row], sum[row]: of the scores,
// sum = sum of exp(score - top). A row that sees no key of the range has sum 0.
void attend(const OpAttributes& attr, const KvCache& cache, size_t layer, const AttentionInput& in,
            const AttentionUnit& unit, float* mixed, float* top, float* sum);

// What attend() chooses from beside its own way. Few rows give the same, bit for bit, of heads with
// an even head_dim and a value_dim that is a multiple of 16.
void attend_few(const OpAttributes& attr, const KvCache& cache, size_t layer,
                const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
                float* sum);
void attend_bf16(const Bf16Core& bf16, const OpAttributes& attr, const KvCache& cache, size_t layer,
                 const AttentionInput& in, const AttentionUnit& unit, float* mixed, float* top,
                 float* sum);

}  // namespace pare

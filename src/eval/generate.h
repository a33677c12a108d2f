// Text that a model writes by always taking its likeliest next token: the line of text that
// reports show of each file, so that a reader sees what a number such as a KL divergence means.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "model/executor.h"

namespace pare {

// True ends the text; the token that ended it is not part of it.
using StopToken = std::function<bool(int32_t token)>;

// Up to `new_tokens` tokens that follow `prompt`, without the prompt. Of equally likely tokens
// the one with the lowest id is taken, so that the same logits always give the same text. Every
// step runs the whole context again: quadratic, meant for a line or two. A null `stop` never
// stops. kInvalidArgument: an empty prompt or a negative count; kBrokenPromise: NaN among the
// logits, or a largest one that is infinite.
Result<std::vector<int32_t>> generate_greedy(Executor& model, std::vector<int32_t> prompt,
                                             int64_t new_tokens, const StopToken& stop = nullptr);

}  // namespace pare

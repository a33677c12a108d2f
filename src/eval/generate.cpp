#include "eval/generate.h"

#include <cmath>

namespace pare {
namespace {

// The first index of the largest logit.
Result<int32_t> likeliest(const std::vector<float>& logits, size_t position) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) {
      return broken_promise("the logit of token {} after {} tokens is not a number", i, position);
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (std::isinf(logits[best])) {
    return broken_promise("the largest logit after {} tokens is {}; a finite number expected",
                          position, logits[best]);
  }
  return static_cast<int32_t>(best);
}

}  // namespace

Result<std::vector<int32_t>> generate_greedy(Executor& model, std::vector<int32_t> prompt,
                                             int64_t new_tokens, const StopToken& stop) {
  if (prompt.empty()) return invalid_argument("text cannot be generated from an empty prompt");
  if (new_tokens < 0) return invalid_argument("{} new tokens were asked for", new_tokens);
  if (model.vocabulary() < 1) return invalid_argument("the model has no vocabulary");
  const size_t written_from = prompt.size();
  std::vector<int32_t> context = std::move(prompt);
  std::vector<float> logits(static_cast<size_t>(model.vocabulary()));
  for (int64_t i = 0; i < new_tokens; ++i) {
    PARE_RETURN_IF_ERROR(model.logits(context, static_cast<int64_t>(context.size()) - 1, logits));
    PARE_ASSIGN_OR_RETURN(const int32_t next, likeliest(logits, context.size()));
    if (stop && stop(next)) break;
    context.push_back(next);
  }
  return std::vector<int32_t>(context.begin() + static_cast<std::ptrdiff_t>(written_from),
                              context.end());
}

}  // namespace pare

// Perplexity and divergence by the protocol of llama.cpp's perplexity tool, so that the numbers
// can be laid side by side: the text is tokenized once, cut into windows of n_ctx tokens, each
// window runs from an empty context (its first token replaced by BOS where the model wants
// one), and positions n_ctx/2 .. n_ctx-2 are scored on the token that follows.
//
//   perplexity   exp of the mean negative log-likelihood
//   KL           sum_v p(v) (log p(v) - log q(v)), p the baseline, q the model, per position
//   same top-1   share of positions where both rank the same token first
//
// Errors are standard errors of the mean over positions; for the perplexity, by the delta rule.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "model/executor.h"

namespace pare {

struct EvalOptions {
  int64_t context = 512;
  int64_t chunks = 0;  // 0: all the text gives
  int32_t bos = -1;    // replaces each window's first token; -1: keep it
};

struct Estimate {
  double value = 0.0;
  double error = 0.0;  // one standard error
};

struct EvalResult {
  int64_t chunks = 0, positions = 0;
  Estimate perplexity;
  // The rest only with a baseline.
  bool compared = false;
  Estimate baseline_perplexity;
  Estimate log_ratio;  // mean log(PPL model / PPL baseline), paired by position
  Estimate mean_kl;
  double median_kl = 0.0, p99_kl = 0.0, max_kl = 0.0;
  Estimate same_top1;            // in [0, 1]
  std::vector<double> chunk_kl;  // mean per window, for paired comparisons
};

// Windows of options.context tokens that the text gives (its tail is dropped), BOS applied.
// Fails if there is not even one.
Result<std::vector<std::vector<int32_t>>> make_windows(std::span<const int32_t> tokens,
                                                       const EvalOptions& options);

// Scores `model` on the windows; with `baseline`, also against it.
Result<EvalResult> evaluate(Executor& model, Executor* baseline,
                            const std::vector<std::vector<int32_t>>& windows, ThreadPool& pool,
                            Progress& progress = Progress::silent());

// One position: logits -> log-probabilities' summary. Exposed for the search, which keeps
// baseline logits. Double accumulation; `vocabulary` floats each.
struct PositionScore {
  double nll = 0.0, baseline_nll = 0.0, kl = 0.0;
  bool same_top1 = false;
};
PositionScore score_position(const float* logits, const float* baseline, int64_t vocabulary,
                             int32_t next);

}  // namespace pare

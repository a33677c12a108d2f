// Calibration tokens without a data set: text drawn from the model itself (Liu et al., "LLM-QAT",
// arXiv 2305.17888, section 3.1): the first tokens of each window are the most likely ones, so
// that the text is sensible, the rest is sampled.
#pragma once

#include "base/progress.h"
#include "calib/streams.h"

namespace pare {

struct SampleOptions {
  int64_t windows = 64;
  int64_t length = 512;
  int32_t first = -1;  // every window's first token; negative: drawn at random
  uint64_t seed = 1;
  double temperature = 0.9;
};

// Windows come in batches, each with random numbers of its own: the result depends on the seed
// and not on the number of threads.
Result<Windows> sample_windows(TorchModel& model, const SampleOptions& options, ThreadPool& pool,
                               Progress& progress);

}  // namespace pare

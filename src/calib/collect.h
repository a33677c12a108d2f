// One calibration pass over windows of tokens. Collects what methods declare they need.
#pragma once

#include "calib/streams.h"
#include "planner/stats.h"

namespace pare {

struct CollectOptions {
  bool pivots = true;     // measure in_pivot: full second moments, one block at a time
  bool gradients = true;  // measure out_grad2: a backward pass
  // Windows of the backward pass, spread over all: squared gradients average quickly.
  size_t gradient_windows = 8;
  // What inputs of blocks may take that are kept for it; if they would take more, some are kept
  // and the others made again.
  int64_t kept_bytes = int64_t{320} << 20;
  uint64_t seed = 1;  // of the tokens sampled for the Fisher information
};

// The statistics file's content: input moments and, if asked, output gradients.
Result<CalibrationStats> collect_stats(TorchModel& model, const Windows& windows,
                                       const CollectOptions& options, ThreadPool& pool,
                                       Progress& progress);

}  // namespace pare

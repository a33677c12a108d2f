// Windows of tokens run block by block, all at once: memory is one block and the windows' residual
// streams.
//
// Windows are shared out to a fixed number of lanes, each summed in order: results do not depend
// on the number of threads. A GPU is given one window at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "model/exec_torch/torch.h"
#include "model/exec_torch/torch_model.h"

namespace pare {

using Windows = std::vector<std::vector<int32_t>>;

// Windows summed separately and then together: the most threads that help.
inline constexpr int kCalibrationLanes = 4;

// Runs body(window, lane) for all windows of `model`: lane l takes windows l, l + lanes, ... in
// order, one after another. Stops at the first error or when progress says so; exceptions become
// Status.
Status for_each_window(const TorchModel& model, size_t windows, ThreadPool& pool,
                       Progress& progress,
                       const std::function<Status(size_t window, int lane)>& body);

// The residual streams of all windows: float32 [1, length, n_embd] each, on the model's device.
using Streams = std::vector<torch::Tensor>;
Result<Streams> embed_windows(TorchModel& model, const Windows& windows, ThreadPool& pool,
                              Progress& progress);

// Second moments of the inputs of some linears, summed over tokens: the (scaled) Hessian of a
// layer's squared output error. float64 [columns, columns] by site index of ModelDesc::sites.
struct SiteMoments {
  std::map<int32_t, torch::Tensor> second_moment;
  double tokens = 0.0;
};

// Runs block `index` on `streams` and replaces them by its outputs. With `moments`, also sums
// the full second moments at the block's sites.
Status run_block(TorchModel& model, int index, Streams& streams, SiteMoments* moments,
                 ThreadPool& pool, Progress& progress);

// The same at the sites outside blocks, up to and with the one that `output` reads (the output
// matrix, whose products are not made), from the last block's streams.
Result<SiteMoments> output_moments(TorchModel& model, int32_t output, const Streams& streams,
                                   ThreadPool& pool, Progress& progress);

}  // namespace pare

#include "calib/streams.h"

#include <algorithm>
#include <mutex>

#include "calib/lane_sums.h"
#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_threads.h"

namespace pare {
namespace {

torch::Tensor token_tensor(const std::vector<int32_t>& window) {
  torch::Tensor tokens = torch::empty({1, static_cast<int64_t>(window.size())}, torch::kInt64);
  std::copy(window.begin(), window.end(), tokens.data_ptr<int64_t>());
  return tokens;
}

// Adds the second moments of the sites' inputs to the lane's sums.
TorchHooks moment_hooks(const std::map<int32_t, int32_t>& sites, LaneSums& sums, int lane) {
  TorchHooks hooks;
  hooks.on_linear = [&sites, &sums, lane](const Op& op, const torch::Tensor& input,
                                          torch::Tensor&) {
    const auto site = sites.find(op.weight);
    if (site != sites.end()) sums.add_second_moment(lane, site->second, flat(input));
  };
  return hooks;
}

}  // namespace

std::map<int32_t, int32_t> first_readers(const ModelDesc& desc, int block) {
  std::map<int32_t, int32_t> sites;
  for (size_t s = 0; s < desc.sites.size(); ++s) {
    if (desc.sites[s].block == block) {
      sites[desc.sites[s].readers.front()] = static_cast<int32_t>(s);
    }
  }
  return sites;
}

Status for_each_window(const TorchModel& model, size_t windows, ThreadPool& pool,
                       Progress& progress, const std::function<Status(size_t, int)>& body) {
  std::mutex mutex;
  Status first_error;
  const size_t lanes = model.device().is_cpu() ? kCalibrationLanes : 1;
  pool.parallel_for(lanes, [&](size_t lane) {
    follow_thread_setting();
    for (size_t w = lane; w < windows; w += lanes) {
      Status status;
      if (progress.stop_requested()) {
        status = cancelled("stopped during calibration");
      } else {
        try {
          status = body(w, static_cast<int>(lane));
        } catch (const std::exception& e) {
          status = torch_error("running the model", e);
        }
      }
      std::lock_guard lock(mutex);
      if (!status.ok() && first_error.ok()) first_error = status;
      if (!first_error.ok()) return;
    }
  });
  return first_error;
}

Result<Streams> embed_windows(TorchModel& model, const Windows& windows, ThreadPool& pool,
                              Progress& progress) {
  if (windows.empty()) return invalid_argument("calibration needs at least one window of tokens");
  Streams streams(windows.size());
  PARE_RETURN_IF_ERROR(
      for_each_window(model, windows.size(), pool, progress, [&](size_t w, int) -> Status {
        torch::NoGradGuard no_grad;
        PARE_ASSIGN_OR_RETURN(streams[w], model.prologue(token_tensor(windows[w])));
        return {};
      }));
  return streams;
}

Status run_block(TorchModel& model, int index, Streams& streams, SiteMoments* moments,
                 ThreadPool& pool, Progress& progress) {
  LaneSums sums;
  const auto sites = first_readers(model.desc(), index);
  PARE_RETURN_IF_ERROR(
      for_each_window(model, streams.size(), pool, progress, [&](size_t w, int lane) -> Status {
        torch::NoGradGuard no_grad;
        const TorchHooks hooks = moment_hooks(sites, sums, lane);
        PARE_ASSIGN_OR_RETURN(streams[w],
                              model.block(index, streams[w], moments ? &hooks : nullptr));
        return {};
      }));
  if (moments != nullptr) {
    moments->second_moment = sums.moments();
    moments->tokens = 0.0;
    for (const auto& stream : streams) moments->tokens += static_cast<double>(stream.size(-2));
  }
  return {};
}

Result<SiteMoments> output_moments(TorchModel& model, int32_t output, const Streams& streams,
                                   ThreadPool& pool, Progress& progress) {
  LaneSums sums;
  const auto sites = first_readers(model.desc(), -1);
  PARE_RETURN_IF_ERROR(
      for_each_window(model, streams.size(), pool, progress, [&](size_t w, int lane) -> Status {
        torch::NoGradGuard no_grad;
        TorchHooks hooks = moment_hooks(sites, sums, lane);
        hooks.stop_at = output;
        return model.epilogue(streams[w], &hooks).status();
      }));
  SiteMoments moments;
  moments.second_moment = sums.moments();
  for (const auto& stream : streams) moments.tokens += static_cast<double>(stream.size(-2));
  return moments;
}

}  // namespace pare

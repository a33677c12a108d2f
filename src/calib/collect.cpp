#include "calib/collect.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "calib/hessian_factor.h"
#include "calib/lane_sums.h"
#include "model/exec_torch/torch_device.h"
#include "model/exec_torch/torch_error.h"

namespace pare {
namespace {

// Positions whose logits are in memory at a time.
constexpr int64_t kEpilogueSlice = 64;

// Tokens drawn from the softmax of each row of `logits` [positions, vocabulary].
torch::Tensor sample_rows(const torch::Tensor& probabilities, Rng& rng) {
  const torch::Tensor cumulative = probabilities.to(torch::kFloat64).cumsum(1);
  torch::Tensor targets = torch::empty({probabilities.size(0), 1}, torch::kFloat64);
  double* t = targets.data_ptr<double>();
  for (int64_t i = 0; i < probabilities.size(0); ++i) t[i] = rng.uniform();
  return torch::searchsorted(cumulative,
                             to_device(targets, cumulative.device()) * cumulative.slice(1, -1))
      .clamp_max(probabilities.size(1) - 1)
      .squeeze(1);
}

class StatsCollector {
 public:
  StatsCollector(TorchModel& model, const Windows& windows, const CollectOptions& options,
                 ThreadPool& pool, Progress& progress)
      : model_(model), windows_(windows), options_(options), pool_(pool), progress_(progress) {}

  Result<CalibrationStats> run() {
    const int blocks = static_cast<int>(model_.desc().graph.blocks.size());
    progress_.begin("calibrate", static_cast<uint64_t>(blocks * (options_.gradients ? 2 : 1)),
                    "blocks");
    PARE_ASSIGN_OR_RETURN(Streams streams,
                          embed_windows(model_, windows_, pool_, Progress::silent()));
    const int stride = checkpoint_stride(streams);
    std::vector<Streams> checkpoints;  // the input of every stride-th block
    for (int b = 0; b < blocks; ++b) {
      if (options_.gradients && b % stride == 0) checkpoints.push_back(followed_only(streams));
      PARE_RETURN_IF_ERROR(forward(b, streams));
      progress_.advance(static_cast<uint64_t>(b + 1));
    }
    PARE_RETURN_IF_ERROR(epilogue(streams));
    for (; !checkpoints.empty(); checkpoints.pop_back()) {
      const int begin = static_cast<int>(checkpoints.size() - 1) * stride;
      PARE_RETURN_IF_ERROR(
          backward_through(begin, std::min(begin + stride, blocks), checkpoints.back()));
    }
    if (options_.gradients) PARE_RETURN_IF_ERROR(embedding_gradients());
    return finish();
  }

 private:
  // True for the windows that the backward pass follows.
  bool followed(size_t window) const {
    if (!options_.gradients) return false;
    const size_t n = windows_.size(), k = std::min(options_.gradient_windows, n);
    return window * k / n != (window + 1) * k / n;
  }
  Streams followed_only(const Streams& streams) const {
    Streams kept(streams.size());
    for (size_t w = 0; w < streams.size(); ++w) {
      if (followed(w)) kept[w] = streams[w].to(torch::kBFloat16);
    }
    return kept;
  }
  // With a stride of sqrt(blocks), 2 sqrt(blocks) inputs are in memory at most.
  int checkpoint_stride(const Streams& streams) const {
    int64_t bytes = 0;
    for (size_t w = 0; w < streams.size(); ++w) {
      if (followed(w)) bytes += 2 * streams[w].numel();
    }
    const auto blocks = static_cast<int64_t>(model_.desc().graph.blocks.size());
    if (bytes * blocks <= options_.kept_bytes) return 1;
    return static_cast<int>(std::ceil(std::sqrt(blocks)));
  }

  Status forward(int block, Streams& streams) {
    LaneSums sums;
    const auto sites = first_readers(model_.desc(), block);
    PARE_RETURN_IF_ERROR(for_each_window(
        model_, windows_.size(), pool_, progress_, [&](size_t w, int lane) -> Status {
          torch::NoGradGuard no_grad;
          const TorchHooks hooks = input_hooks(sites, sums, lane);
          PARE_ASSIGN_OR_RETURN(streams[w], model_.block(block, streams[w], &hooks));
          return {};
        }));
    PARE_RETURN_IF_ERROR(keep_inputs(sums));
    model_.release_block(block);
    return {};
  }

  TorchHooks input_hooks(const std::map<int32_t, int32_t>& sites, LaneSums& sums, int lane) {
    TorchHooks hooks;
    hooks.on_linear = [this, &sites, &sums, lane](const Op& op, const torch::Tensor& input,
                                                  torch::Tensor&) {
      const auto site = sites.find(op.weight);
      if (site == sites.end()) return;
      const torch::Tensor x = flat(input.detach());
      if (options_.pivots) {
        sums.add_second_moment(lane, site->second, x);
      } else {
        sums.add(lane, site->second, (x * x).sum(0, false, torch::kFloat64));
      }
    };
    return hooks;
  }

  Status keep_inputs(const LaneSums& sums) {
    const auto totals = options_.pivots ? sums.moments() : sums.total();
    for (const auto& [site, sum] : totals) {
      input_sum2_[site] = options_.pivots ? sum.diagonal().clone() : sum;
    }
    if (!options_.pivots) return {};
    PARE_ASSIGN_OR_RETURN(auto factors, make_factors(totals, {}, pool_));
    for (auto& [site, factor] : factors) pivots_[site] = std::move(factor.pivot_cost);
    return {};
  }

  // Also the start of the backward pass: the loss is the negative log-likelihood of tokens
  // sampled from the model's own distribution, so its gradient at the logits is p - onehot.
  Status epilogue(Streams& streams) {
    LaneSums sums, gradients;
    const auto sites = first_readers(model_.desc(), -1);
    gradients_.resize(windows_.size());
    PARE_RETURN_IF_ERROR(for_each_window(
        model_, windows_.size(), pool_, progress_, [&](size_t w, int lane) -> Status {
          torch::AutoGradMode grad(followed(w));
          TorchHooks hooks = input_hooks(sites, sums, lane);
          auto on_input = std::move(hooks.on_linear);
          hooks.on_linear = [&](const Op& op, const torch::Tensor& input, torch::Tensor& output) {
            on_input(op, input, output);
            watch(op, input, output, gradients, lane);
          };
          Rng rng(options_.seed * 1000003 + w);
          std::vector<torch::Tensor> stream_gradients;
          for (const torch::Tensor& slice : streams[w].split(kEpilogueSlice, 1)) {
            torch::Tensor stream = slice.detach().requires_grad_(followed(w));
            PARE_ASSIGN_OR_RETURN(torch::Tensor logits, model_.epilogue(stream, &hooks));
            if (!followed(w)) continue;
            torch::Tensor gradient;
            {
              torch::NoGradGuard no_grad;
              gradient = torch::softmax(flat(logits), 1);
              const torch::Tensor targets = sample_rows(gradient, rng);
              gradient.scatter_add_(1, targets.unsqueeze(1),
                                    torch::full({gradient.size(0), 1}, -1.0f, gradient.options()));
            }
            logits.backward(gradient.view_as(logits));
            stream_gradients.push_back(stream.grad().detach());
          }
          if (followed(w)) gradients_[w] = torch::cat(stream_gradients, 1);
          return {};
        }));
    PARE_RETURN_IF_ERROR(keep_inputs(sums));
    keep_gradients(gradients);
    model_.release_block(-1);
    streams.clear();
    return {};
  }

  // From the input of block `begin`, through the blocks before `end` and back.
  Status backward_through(int begin, int end, Streams& streams) {
    std::vector<Streams> inputs(static_cast<size_t>(end - begin), Streams(windows_.size()));
    for (int b = begin; b < end; ++b) {
      Streams& kept = inputs[static_cast<size_t>(b - begin)];
      PARE_RETURN_IF_ERROR(
          for_each_window(model_, windows_.size(), pool_, progress_, [&](size_t w, int) -> Status {
            if (!followed(w)) return {};
            torch::NoGradGuard no_grad;
            kept[w] = streams[w];
            if (b + 1 == end) return {};
            PARE_ASSIGN_OR_RETURN(const torch::Tensor next,
                                  model_.block(b, streams[w].to(torch::kFloat32)));
            streams[w] = next.to(torch::kBFloat16);
            return {};
          }));
      if (b + 1 < end) model_.release_block(b);
    }
    streams.clear();
    const auto blocks = static_cast<int>(model_.desc().graph.blocks.size());
    for (; !inputs.empty(); inputs.pop_back()) {
      const int block = begin + static_cast<int>(inputs.size()) - 1;
      PARE_RETURN_IF_ERROR(backward(block, inputs.back()));
      progress_.advance(static_cast<uint64_t>(2 * blocks - block));
    }
    return {};
  }

  Status backward(int block, Streams& inputs) {
    LaneSums gradients;
    PARE_RETURN_IF_ERROR(for_each_window(
        model_, windows_.size(), pool_, progress_, [&](size_t w, int lane) -> Status {
          if (!followed(w)) return {};
          torch::AutoGradMode grad(true);
          TorchHooks hooks;
          hooks.on_linear = [&](const Op& op, const torch::Tensor& input, torch::Tensor& output) {
            watch(op, input, output, gradients, lane);
          };
          torch::Tensor stream = inputs[w].to(torch::kFloat32).requires_grad_(true);
          PARE_ASSIGN_OR_RETURN(torch::Tensor out, model_.block(block, stream, &hooks));
          out.backward(gradients_[w]);
          gradients_[w] = stream.grad().detach();
          inputs[w] = torch::Tensor();
          return {};
        }));
    keep_gradients(gradients);
    model_.release_block(block);
    return {};
  }

  // Adds the squared gradient of `output` to the lane's sum when the backward pass gets there,
  // each token weighted by its share of the input's energy: an error in the weight is large at
  // the tokens whose input is large, and those (attention sinks) are not like the others.
  void watch(const Op& op, const torch::Tensor& input, torch::Tensor& output, LaneSums& sums,
             int lane) {
    if (!output.requires_grad()) return;
    const int32_t weight = op.weight;
    const torch::Tensor x = flat(input.detach());
    const torch::Tensor energy = (x * x).sum(1, true);
    output.register_hook([&sums, lane, weight, energy](torch::Tensor gradient) {
      const torch::Tensor g = flat(gradient);
      sums.add(lane, weight, (g * g * energy).sum(0, false, torch::kFloat64));
    });
  }

  void keep_gradients(const LaneSums& sums) {
    for (auto& [weight, sum] : sums.total()) output_grad2_[weight] = sum;
  }

  // The gradient at the first stream is what an error in the embedding's columns meets.
  Status embedding_gradients() {
    torch::Tensor sum;
    for (const torch::Tensor& gradient : gradients_) {
      if (!gradient.defined()) continue;
      const torch::Tensor g = flat(gradient);
      const torch::Tensor squares = (g * g).sum(0, false, torch::kFloat64);
      sum = sum.defined() ? sum + squares : squares;
    }
    embedding_grad2_ = sum;
    return {};
  }

  Result<CalibrationStats> finish() {
    const ModelDesc& desc = model_.desc();
    CalibrationStats stats;
    stats.chunks = static_cast<uint32_t>(windows_.size());
    stats.chunk_size = static_cast<uint32_t>(windows_.front().size());
    double tokens = 0.0, followed_tokens = 0.0;
    for (size_t w = 0; w < windows_.size(); ++w) {
      tokens += static_cast<double>(windows_[w].size());
      if (followed(w)) followed_tokens += static_cast<double>(windows_[w].size());
    }
    const auto to_vector = [](const torch::Tensor& t) {
      const torch::Tensor f = t.to(torch::kFloat32).cpu().contiguous();
      return std::vector<float>(f.data_ptr<float>(), f.data_ptr<float>() + f.numel());
    };
    for (size_t s = 0; s < desc.sites.size(); ++s) {
      const auto sum = input_sum2_.find(static_cast<int32_t>(s));
      if (sum == input_sum2_.end())
        return internal_error("site {} was not run", desc.sites[s].name);
      for (int32_t reader : desc.sites[s].readers) {
        TensorStats& t = stats.tensors[desc.tensors[static_cast<size_t>(reader)].name];
        t.in_sum2 = to_vector(sum->second);
        t.count = tokens;
        if (options_.pivots) {
          t.in_pivot = pivots_[static_cast<int32_t>(s)];
          for (float& v : t.in_pivot) v /= static_cast<float>(tokens);
        }
        const auto gradient = output_grad2_.find(reader);
        if (gradient != output_grad2_.end()) {
          const double energy = std::max(sum->second.sum().item<double>() / tokens, 1e-30);
          t.out_grad2 = to_vector(gradient->second / (followed_tokens * energy));
        }
      }
    }
    if (embedding_grad2_.defined()) {
      stats.embedding_grad2 = to_vector(embedding_grad2_ / followed_tokens);
    }
    for (const auto& [name, t] : stats.tensors) {
      for (float v : t.in_sum2) {
        if (!std::isfinite(v)) {
          return broken_promise("{}: its input is not finite during calibration", name);
        }
      }
    }
    return stats;
  }

  TorchModel& model_;
  const Windows& windows_;
  const CollectOptions& options_;
  ThreadPool& pool_;
  Progress& progress_;
  std::map<int32_t, torch::Tensor> input_sum2_;    // by site
  std::map<int32_t, std::vector<float>> pivots_;   // by site
  std::map<int32_t, torch::Tensor> output_grad2_;  // by weight
  std::vector<torch::Tensor> gradients_;           // by window: d loss / d stream
  torch::Tensor embedding_grad2_;
};

}  // namespace

Result<CalibrationStats> collect_stats(TorchModel& model, const Windows& windows,
                                       const CollectOptions& options, ThreadPool& pool,
                                       Progress& progress) {
  return without_exceptions(
      "calibrating", [&] { return StatsCollector(model, windows, options, pool, progress).run(); });
}

}  // namespace pare

#include "calib/sample.h"

#include <algorithm>
#include <atomic>

#include "base/rng.h"

namespace pare {
namespace {

// At most so many windows are generated together: weights are read once for all of them.
constexpr int64_t kMostBatch = 8;
// Tokens at the beginning of a window that are drawn from the few most likely ones only.
constexpr int64_t kCareful = 4;
constexpr int64_t kCarefulChoices = 50;

// One token per row of logits [batch, vocabulary].
std::vector<int64_t> draw(torch::Tensor logits, double temperature, bool careful, Rng& rng) {
  torch::Tensor ids;
  if (careful) {
    std::tie(logits, ids) =
        logits.topk(std::min<int64_t>(kCarefulChoices, logits.size(1)), /*dim=*/1);
  }
  const torch::Tensor probabilities = torch::softmax(logits / temperature, 1).cpu().contiguous();
  const int64_t columns = probabilities.size(1);
  std::vector<int64_t> tokens;
  std::vector<double> cumulative(static_cast<size_t>(columns));
  for (int64_t row = 0; row < probabilities.size(0); ++row) {
    const float* p = probabilities.data_ptr<float>() + row * columns;
    double sum = 0.0;
    for (int64_t i = 0; i < columns; ++i) cumulative[static_cast<size_t>(i)] = sum += p[i];
    const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), rng.uniform() * sum);
    const int64_t column = std::min<int64_t>(at - cumulative.begin(), columns - 1);
    tokens.push_back(careful ? ids[row][column].item<int64_t>() : column);
  }
  return tokens;
}

}  // namespace

Result<Windows> sample_windows(TorchModel& model, const SampleOptions& options, ThreadPool& pool,
                               Progress& progress) {
  if (options.windows < 1 || options.length < 2) {
    return invalid_argument("{} windows of {} tokens cannot be sampled", options.windows,
                            options.length);
  }
  const int64_t batches = (options.windows + kMostBatch - 1) / kMostBatch;
  const int64_t batch = (options.windows + batches - 1) / batches;
  Windows windows(static_cast<size_t>(options.windows));
  std::atomic<uint64_t> done{0};
  progress.begin("sample", static_cast<uint64_t>(options.windows * options.length), "tokens");
  const auto vocabulary = static_cast<uint64_t>(model.desc().hparams.n_vocab);
  PARE_RETURN_IF_ERROR(for_each_window(
      model, static_cast<size_t>(batches), pool, progress, [&](size_t b, int lane) -> Status {
        torch::NoGradGuard no_grad;
        Rng rng(options.seed * 7919 + b);
        const int64_t first_window = static_cast<int64_t>(b) * batch;
        const int64_t count = std::min(batch, options.windows - first_window);
        if (count <= 0) return {};
        std::vector<int64_t> next(static_cast<size_t>(count));
        for (auto& token : next) {
          token = options.first >= 0 ? options.first : static_cast<int64_t>(rng.below(vocabulary));
        }
        TorchCache cache;
        cache.capacity = options.length;
        for (int64_t t = 0;; ++t) {
          for (int64_t i = 0; i < count; ++i) {
            windows[static_cast<size_t>(first_window + i)].push_back(
                static_cast<int32_t>(next[static_cast<size_t>(i)]));
          }
          if (t + 1 == options.length) break;
          if (progress.stop_requested()) return cancelled("stopped while sampling");
          PARE_ASSIGN_OR_RETURN(
              torch::Tensor stream,
              model.prologue(torch::tensor(next, torch::kInt64).unsqueeze(1), &cache));
          for (size_t block = 0; block < model.desc().graph.blocks.size(); ++block) {
            PARE_ASSIGN_OR_RETURN(stream,
                                  model.block(static_cast<int>(block), stream, nullptr, &cache));
          }
          ++cache.length;
          PARE_ASSIGN_OR_RETURN(const torch::Tensor logits, model.epilogue(stream));
          next = draw(logits.squeeze(1), options.temperature, t < kCareful, rng);
          done += static_cast<uint64_t>(count);
          if (lane == 0) progress.advance(done);
        }
        return {};
      }));
  return windows;
}

}  // namespace pare

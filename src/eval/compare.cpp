#include "eval/compare.h"

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

// log(sum(exp(x))) and where the maximum stands.
struct LogSum {
  double value;
  int64_t top;
};
LogSum log_sum_exp(const float* x, int64_t n) {
  const int64_t top = std::max_element(x, x + n) - x;
  const float peak = x[top];
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - peak);
  return {peak + std::log(sum), top};
}

// Mean and standard error of samples taken one by one (Welford).
class Moments {
 public:
  void add(double x) {
    ++count_;
    const double delta = x - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (x - mean_);
  }
  Estimate estimate() const {
    if (count_ < 2) return {mean_, 0.0};
    const auto n = static_cast<double>(count_);
    return {mean_, std::sqrt(squares_ / (n - 1.0) / n)};
  }

 private:
  int64_t count_ = 0;
  double mean_ = 0.0, squares_ = 0.0;
};

Estimate exponential(Estimate e) { return {std::exp(e.value), std::exp(e.value) * e.error}; }

// Value at quantile q of sorted samples, linear between neighbours.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

struct WindowScores {
  Status status;
  std::vector<PositionScore> scores;
};

// Logits are made for this many positions at a time: a window's worth would be the largest thing
// in memory.
constexpr int64_t kSlice = 32;

// pool: for the positions, or null if the caller's threads are busy with other windows.
WindowScores score_window(Executor& model, Executor* baseline, const std::vector<int32_t>& window,
                          ThreadPool* pool) {
  const int64_t vocabulary = model.vocabulary();
  const auto length = static_cast<int64_t>(window.size());
  const int64_t first = length / 2;
  WindowScores result;
  const auto hidden_of = [&](Executor& executor) {
    std::vector<float> hidden(static_cast<size_t>((length - first) * executor.width()));
    if (result.status.ok()) result.status = executor.run(window, first, hidden);
    return hidden;
  };
  const std::vector<float> hidden = hidden_of(model);
  const std::vector<float> reference = baseline != nullptr ? hidden_of(*baseline) : hidden;
  if (!result.status.ok()) return result;

  result.scores.resize(static_cast<size_t>(length - 1 - first));
  const auto positions = static_cast<int64_t>(result.scores.size());
  std::vector<float> logits, reference_logits;
  for (int64_t begin = 0; begin < positions; begin += kSlice) {
    const int64_t count = std::min(kSlice, positions - begin);
    const auto project = [&](Executor& executor, const std::vector<float>& from,
                             std::vector<float>& to) {
      to.resize(static_cast<size_t>(count * vocabulary));
      const int64_t width = executor.width();
      if (!result.status.ok()) return;
      result.status = executor.project(std::span(from).subspan(static_cast<size_t>(begin * width),
                                                               static_cast<size_t>(count * width)),
                                       to);
    };
    project(model, hidden, logits);
    if (baseline != nullptr) project(*baseline, reference, reference_logits);
    if (!result.status.ok()) return result;
    const auto score = [&](size_t i) {
      const size_t at = i * static_cast<size_t>(vocabulary);
      const size_t position = static_cast<size_t>(begin) + i;
      result.scores[position] = score_position(
          logits.data() + at, baseline != nullptr ? reference_logits.data() + at : nullptr,
          vocabulary, window[static_cast<size_t>(first) + position + 1]);
    };
    if (pool != nullptr) {
      pool->parallel_for(static_cast<size_t>(count), score);
    } else {
      for (size_t i = 0; i < static_cast<size_t>(count); ++i) score(i);
    }
  }
  return result;
}

}  // namespace

PositionScore score_position(const float* logits, const float* baseline, int64_t vocabulary,
                             int32_t next) {
  PositionScore score;
  const LogSum q = log_sum_exp(logits, vocabulary);
  score.nll = q.value - logits[next];
  if (baseline == nullptr) return score;
  const LogSum p = log_sum_exp(baseline, vocabulary);
  score.baseline_nll = p.value - baseline[next];
  score.same_top1 = p.top == q.top;
  double kl = 0.0;
  const auto shift_p = static_cast<float>(p.value);
  const double shift = q.value - p.value;
  for (int64_t i = 0; i < vocabulary; ++i) {
    const float log_p = baseline[i] - shift_p;
    if (log_p < -40.0f) continue;  // below 1e-17: nothing of the sum
    kl += std::exp(log_p) * (static_cast<double>(baseline[i]) - logits[i] + shift);
  }
  score.kl = std::max(kl, 0.0);
  return score;
}

Result<std::vector<std::vector<int32_t>>> make_windows(std::span<const int32_t> tokens,
                                                       const EvalOptions& options) {
  if (options.context < 4) {
    return invalid_argument("a context of {} tokens is too short, at least 4", options.context);
  }
  const auto context = static_cast<size_t>(options.context);
  size_t count = tokens.size() / context;
  if (count == 0) {
    return invalid_argument("the text has {} tokens, one window needs {}", tokens.size(), context);
  }
  if (options.chunks > 0) count = std::min(count, static_cast<size_t>(options.chunks));
  std::vector<std::vector<int32_t>> windows;
  for (size_t i = 0; i < count; ++i) {
    const auto part = tokens.subspan(i * context, context);
    windows.emplace_back(part.begin(), part.end());
    if (options.bos >= 0) windows.back()[0] = options.bos;
  }
  return windows;
}

Result<EvalResult> evaluate(Executor& model, Executor* baseline,
                            const std::vector<std::vector<int32_t>>& windows, ThreadPool& pool,
                            Progress& progress) {
  const int64_t vocabulary = model.vocabulary();
  if (baseline != nullptr && baseline->vocabulary() != vocabulary) {
    return invalid_argument("vocabularies differ: {} and {} (baseline)", vocabulary,
                            baseline->vocabulary());
  }
  EvalResult result;
  result.compared = baseline != nullptr;
  Moments nll, baseline_nll, difference, kl, top1;
  std::vector<double> all_kl;
  int at_once = std::min(pool.threads(), model.concurrency());
  if (baseline != nullptr) at_once = std::min(at_once, baseline->concurrency());
  progress.begin("evaluate", windows.size(), "windows");
  for (size_t begin = 0; begin < windows.size(); begin += static_cast<size_t>(at_once)) {
    if (progress.stop_requested()) return cancelled("stopped during evaluation");
    const size_t count = std::min(static_cast<size_t>(at_once), windows.size() - begin);
    std::vector<WindowScores> batch(count);
    if (at_once == 1) {
      batch[0] = score_window(model, baseline, windows[begin], &pool);
    } else {
      pool.parallel_for(count, [&](size_t i) {
        batch[i] = score_window(model, baseline, windows[begin + i], nullptr);
      });
    }
    for (const WindowScores& window : batch) {
      PARE_RETURN_IF_ERROR(window.status);
      double chunk_kl = 0.0;
      for (const PositionScore& s : window.scores) {
        if (!std::isfinite(s.nll)) {
          return corrupt("the model gives logits that are not finite (window {})", result.chunks);
        }
        nll.add(s.nll);
        if (baseline == nullptr) continue;
        baseline_nll.add(s.baseline_nll);
        difference.add(s.nll - s.baseline_nll);
        kl.add(s.kl);
        top1.add(s.same_top1 ? 1.0 : 0.0);
        all_kl.push_back(s.kl);
        chunk_kl += s.kl;
      }
      result.chunk_kl.push_back(chunk_kl / static_cast<double>(window.scores.size()));
      result.positions += static_cast<int64_t>(window.scores.size());
      progress.advance(static_cast<uint64_t>(++result.chunks));
    }
  }
  result.perplexity = exponential(nll.estimate());
  if (baseline != nullptr) {
    std::sort(all_kl.begin(), all_kl.end());
    result.baseline_perplexity = exponential(baseline_nll.estimate());
    result.log_ratio = difference.estimate();
    result.mean_kl = kl.estimate();
    result.median_kl = quantile(all_kl, 0.5);
    result.p99_kl = quantile(all_kl, 0.99);
    result.max_kl = all_kl.back();
    result.same_top1 = top1.estimate();
  } else {
    result.chunk_kl.clear();
  }
  return result;
}

}  // namespace pare

#include "serve/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace pare {

Status check_sampler_options(const SamplerOptions& o) {
  const auto refuse = [](const char* name, auto value, const char* expected) {
    return invalid_argument("{} is {}, expected {}", name, value, expected);
  };
  if (!(o.temperature >= 0.0f)) return refuse("temperature", o.temperature, "0 or more");
  if (o.top_k < 0) return refuse("top-k", o.top_k, "0 or more");
  if (!(o.top_p > 0.0f && o.top_p <= 1.0f)) return refuse("top-p", o.top_p, "in (0, 1]");
  if (!(o.min_p >= 0.0f && o.min_p <= 1.0f)) return refuse("min-p", o.min_p, "in [0, 1]");
  if (!(o.repeat_penalty >= 0.01f && o.repeat_penalty <= 100.0f)) {
    return refuse("repeat penalty", o.repeat_penalty, "in [0.01, 100]");
  }
  if (o.repeat_last < 0) return refuse("repeat length", o.repeat_last, "0 or more");
  return {};
}

Result<int32_t> Sampler::pick(std::span<const float> logits, std::span<const int32_t> history) {
  logits_.assign(logits.begin(), logits.end());
  penalize(history);
  size_t best = 0;
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (std::isnan(logits_[i])) {
      return corrupt("the logit of token {} after {} tokens is not a number", i, history.size());
    }
    if (logits_[i] > logits_[best]) best = i;
  }
  if (logits_.empty() || !std::isfinite(logits_[best])) {
    return corrupt("no finite logit is the largest after {} tokens", history.size());
  }
  if (options_.temperature == 0.0f) return static_cast<int32_t>(best);
  candidates_.clear();
  // What min-p or the precision of exponentials leaves no chance need not be sorted.
  const float least = logits_[best] + std::log(std::max(options_.min_p, 1e-30f));
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (logits_[i] >= least || i == best) {
      candidates_.push_back({static_cast<int32_t>(i), logits_[i]});
    }
  }
  keep_top(options_.top_k == 0 ? candidates_.size() : static_cast<size_t>(options_.top_k));
  return draw();
}

void Sampler::penalize(std::span<const int32_t> history) {
  if (options_.repeat_penalty == 1.0f) return;
  const auto recent = std::min(history.size(), static_cast<size_t>(options_.repeat_last));
  std::unordered_set<int32_t> seen;
  for (const int32_t token : history.last(recent)) {
    if (token < 0 || static_cast<size_t>(token) >= logits_.size()) continue;
    if (!seen.insert(token).second) continue;
    float& logit = logits_[static_cast<size_t>(token)];
    logit = logit > 0.0f ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
}

void Sampler::keep_top(size_t count) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  count = std::min(count, candidates_.size());
  const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(candidates_.begin(), middle, candidates_.end(), likelier);
  candidates_.erase(middle, candidates_.end());
  if (options_.top_p >= 1.0f) return;
  double total = 0.0;
  weights_.clear();
  for (const Candidate& c : candidates_) {
    weights_.push_back(std::exp(static_cast<double>(c.logit) - candidates_[0].logit));
    total += weights_.back();
  }
  double sum = 0.0;
  size_t kept = 0;
  while (kept < weights_.size() && sum < total * options_.top_p) sum += weights_[kept++];
  candidates_.resize(std::max<size_t>(1, kept));
}

int32_t Sampler::draw() {
  double total = 0.0;
  weights_.clear();
  for (const Candidate& c : candidates_) {
    const double above = static_cast<double>(c.logit) - candidates_[0].logit;
    weights_.push_back(std::exp(above / options_.temperature));
    total += weights_.back();
  }
  double left = rng_.uniform() * total;
  for (size_t i = 0; i + 1 < weights_.size(); ++i) {
    left -= weights_[i];
    if (left < 0.0) return candidates_[i].token;
  }
  return candidates_.back().token;
}

}  // namespace pare

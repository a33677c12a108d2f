// Chooses the next token from a model's logits: penalty for repeats, then top-k, top-p and min-p
// on the model's own distribution, then temperature. The same seed and logits give the same
// tokens on every machine.
//
// top-p: Holtzman et al., "The curious case of neural text degeneration" (2020), section 3.1.
// min-p: Nguyen et al., "Turning up the heat" (2025), section 3. Penalty: Keskar et al., "CTRL"
// (2019), section 4.1.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/status.h"

namespace pare {

struct SamplerOptions {
  float temperature = 0.8f;     // 0: always the likeliest, the first of equals
  int top_k = 40;               // the likeliest so many; 0: all
  float top_p = 0.95f;          // the likeliest that together have this probability; 1: all
  float min_p = 0.05f;          // those at least this share as likely as the likeliest; 0: all
  float repeat_penalty = 1.0f;  // positive logits of recent tokens divided, others multiplied
  int repeat_last = 64;         // how many tokens are recent
  uint64_t seed = 1;
};

// kInvalidArgument names the option that is out of its range.
Status check_sampler_options(const SamplerOptions& options);

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), rng_(options.seed) {}

  // history: the tokens so far. kCorrupt: NaN among the logits, or no finite one.
  Result<int32_t> pick(std::span<const float> logits, std::span<const int32_t> history);

 private:
  struct Candidate {
    int32_t token;
    float logit;
  };
  void penalize(std::span<const int32_t> history);
  void keep_top(size_t count);
  int32_t draw();

  SamplerOptions options_;
  Rng rng_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;  // likeliest first once keep_top() is done
  std::vector<double> weights_;
};

}  // namespace pare

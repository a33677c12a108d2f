// Runs a model on tokens: what evaluation needs, whoever computes it. In two steps, because
// logits are large (a vocabulary per position) and hidden states are small: a caller that
// compares two models projects a few positions at a time.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"

namespace pare {

class Executor {
 public:
  virtual ~Executor() = default;
  virtual int64_t vocabulary() const = 0;
  virtual int64_t width() const = 0;  // floats of one position's hidden state

  // Runs `tokens` from an empty context and writes the hidden states of positions
  // [first, tokens.size()), after the last block, to `hidden`: row-major [positions, width].
  virtual Status run(std::span<const int32_t> tokens, int64_t first, std::span<float> hidden) = 0;
  // Final norm and output matrix: `hidden` [positions, width] -> `logits` [positions, vocabulary].
  virtual Status project(std::span<const float> hidden, std::span<float> logits) = 0;

  // How many threads may be in run() or project() at a time. More than 1 says that one call uses
  // one thread, so that independent windows are the way to use the machine.
  virtual int concurrency() const { return 1; }

  // Both steps at once: logits of positions [first, tokens.size()).
  Status logits(std::span<const int32_t> tokens, int64_t first, std::span<float> logits);
};

}  // namespace pare

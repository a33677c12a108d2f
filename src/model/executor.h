// Runs a model on tokens: what evaluation needs, whoever computes it.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"

namespace pare {

class Executor {
 public:
  virtual ~Executor() = default;
  virtual int64_t vocabulary() const = 0;
  // Runs `tokens` from an empty context and writes the logits of positions
  // [first, tokens.size()) to `logits`, row-major [positions, vocabulary].
  virtual Status logits(std::span<const int32_t> tokens, int64_t first,
                        std::span<float> logits) = 0;
  // How many threads may be in logits() at a time. More than 1 says that one call uses one
  // thread, so that independent windows are the way to use the machine.
  virtual int concurrency() const { return 1; }
};

}  // namespace pare

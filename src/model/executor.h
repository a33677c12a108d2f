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
};

}  // namespace pare

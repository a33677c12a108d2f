#include "model/executor.h"

#include <vector>

namespace pare {

Status Executor::logits(std::span<const int32_t> tokens, int64_t first, std::span<float> logits) {
  const auto length = static_cast<int64_t>(tokens.size());
  if (first < 0 || first > length ||
      static_cast<int64_t>(logits.size()) != (length - first) * vocabulary()) {
    return invalid_argument("logits of positions {} to {} need {} floats, not {}", first, length,
                            (length - first) * vocabulary(), logits.size());
  }
  std::vector<float> hidden(static_cast<size_t>((length - first) * width()));
  PARE_RETURN_IF_ERROR(run(tokens, first, hidden));
  return project(hidden, logits);
}

}  // namespace pare

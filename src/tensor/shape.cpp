#include "tensor/shape.h"

#include <fmt/ranges.h>

namespace pare {

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

}  // namespace pare

// torch's exceptions as Status, without their stack traces.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string_view>

#include "base/status.h"

namespace pare {

inline Status torch_error(std::string_view doing, const std::exception& error) {
  const auto* c10 = dynamic_cast<const c10::Error*>(&error);
  return internal_error("{}: {}", doing,
                        c10 != nullptr ? c10->what_without_backtrace() : error.what());
}

}  // namespace pare

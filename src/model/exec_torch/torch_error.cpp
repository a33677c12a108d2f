#include "model/exec_torch/torch_error.h"

#include <c10/util/Exception.h>

namespace pare {

Status torch_error(std::string_view doing, const std::exception& error) {
  const auto* c10 = dynamic_cast<const c10::Error*>(&error);
  std::string_view what = c10 != nullptr ? c10->what_without_backtrace() : error.what();
  what = what.substr(0, what.find('\n'));
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) == nullptr) {
    return internal_error("{}: {}", doing, what);
  }
  // After what was asked for and what is free torch tells how to tune its allocator.
  for (const char* rest : {" Including non-PyTorch", " If reserved"}) {
    what = what.substr(0, what.find(rest));
  }
  return unsupported("{}: {} --device cpu needs none of it", doing, what);
}

}  // namespace pare

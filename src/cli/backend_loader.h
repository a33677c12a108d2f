// Loads libpare_compress, the part of pare that stands on libtorch, when a verb needs it.
#pragma once

#include "base/status.h"
#include "compress/backend.h"

namespace pare::cli {

// kUnsupported, with what to do about it, if this build or machine has none.
Result<Backend*> load_backend();

}  // namespace pare::cli

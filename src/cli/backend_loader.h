// Loads libpare_compress, the part of pare that stands on libtorch, when a verb needs it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/status.h"
#include "compress/backend.h"

namespace pare::cli {

// --device of the verbs that use it.
void add_backend_device(CLI::App& app, std::string& device);

// Models are run on `device`; if "auto" passes over a GPU, stderr says why, unless `quiet`.
// kUnsupported, with what to do about it, if this build or machine has no such library, or the
// library no such device.
Result<Backend*> load_backend(const std::string& device, const DeviceUse& use, bool quiet);

}  // namespace pare::cli

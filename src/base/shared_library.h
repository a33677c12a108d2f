// Parts of pare that are libraries of their own, loaded when they are needed.
#pragma once

#include <string>

#include "base/status.h"

namespace pare {

// Loads `file` ("libpare_compress.so") and gives the address of its `symbol`. It is looked for
// beside the program in a build tree (../lib), in `library_folder` beside it in an installation,
// and where the system's loader looks. Never unloaded. kUnsupported: there is none that can be
// loaded, with the loader's reason; kInternal: one without the symbol.
Result<void*> load_library(const std::string& file, const char* symbol,
                           const std::string& library_folder);

}  // namespace pare

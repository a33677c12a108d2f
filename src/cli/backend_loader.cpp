#include "cli/backend_loader.h"

#include "base/shared_library.h"

namespace pare::cli {

Result<Backend*> load_backend() {
  const Result<void*> entry = load_library("libpare_compress.so", kBackendSymbol, PARE_LIBDIR);
  if (entry.ok()) return reinterpret_cast<Backend* (*)()>(*entry)();
  if (entry.status().code() != StatusCode::kUnsupported) return entry.status();
  return unsupported(
      "this verb needs libpare_compress, the part of pare on libtorch, and it cannot be loaded "
      "({}); build with -DPARE_TORCH=ON and libtorch installed",
      entry.status().message());
}

}  // namespace pare::cli

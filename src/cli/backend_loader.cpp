#include "cli/backend_loader.h"

#include <fmt/format.h>

#include "base/shared_library.h"

namespace pare::cli {

void add_backend_device(CLI::App& app, std::string& device) {
  app.add_option(
         "--device", device,
         "What runs the model: cpu, cuda or cuda:1, ... (a libtorch that has CUDA), or auto: a "
         "GPU if there is one and the memory suffices; weights are encoded by the CPU")
      ->capture_default_str();
}

Result<Backend*> load_backend(const std::string& device, const DeviceUse& use, bool quiet) {
  const Result<void*> entry = load_library("libpare_compress.so", kBackendSymbol, PARE_LIBDIR);
  if (entry.ok()) {
    Backend* const backend = reinterpret_cast<Backend* (*)()>(*entry)();
    PARE_ASSIGN_OR_RETURN(const std::string note, backend->use_device(device, use));
    if (!note.empty() && !quiet) fmt::print(stderr, "{}\n", note);
    return backend;
  }
  if (entry.status().code() != StatusCode::kUnsupported) return entry.status();
  return unsupported(
      "this verb needs libpare_compress, the part of pare on libtorch, and it cannot be loaded "
      "({}); build with -DPARE_TORCH=ON and libtorch installed",
      entry.status().message());
}

}  // namespace pare::cli

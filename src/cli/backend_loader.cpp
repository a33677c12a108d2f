#include "cli/backend_loader.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <vector>

namespace pare::cli {

Result<Backend*> load_backend() {
  // Beside the program in a build tree, in ../lib of an installation, else where the system's
  // loader looks.
  std::vector<std::string> places;
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const auto root = program.parent_path().parent_path();
    places.push_back((root / "lib" / "libpare_compress.so").string());
    places.push_back((root / PARE_LIBDIR / "libpare_compress.so").string());
  }
  places.emplace_back("libpare_compress.so");
  std::string reason;
  for (const std::string& place : places) {
    void* library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      if (file_exists(place) || reason.empty()) reason = ::dlerror();
      continue;
    }
    auto entry = reinterpret_cast<Backend* (*)()>(::dlsym(library, kBackendSymbol));
    if (entry == nullptr) return internal_error("{}: not a pare library", place);
    return entry();
  }
  return unsupported(
      "this verb needs libpare_compress, the part of pare on libtorch, and it cannot be loaded "
      "({}); build with -DPARE_TORCH=ON and libtorch installed",
      reason);
}

}  // namespace pare::cli

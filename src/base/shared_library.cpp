#include "base/shared_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <vector>

#include "base/file.h"

namespace pare {

Result<void*> load_library(const std::string& file, const char* symbol,
                           const std::string& library_folder) {
  std::vector<std::string> places;
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const auto root = program.parent_path().parent_path();
    places.push_back((root / "lib" / file).string());
    places.push_back((root / library_folder / file).string());
  }
  places.push_back(file);
  std::string reason;
  for (const std::string& place : places) {
    void* library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      if (file_exists(place) || reason.empty()) reason = ::dlerror();
      continue;
    }
    void* found = ::dlsym(library, symbol);
    if (found == nullptr) return internal_error("{}: not a pare library", place);
    return found;
  }
  return unsupported("{}", reason);
}

}  // namespace pare

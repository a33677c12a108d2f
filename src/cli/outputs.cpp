#include "cli/outputs.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"

namespace pare::cli {

Status check_output(const std::string& output, const std::vector<std::string>& inputs) {
  if (output.empty()) return {};
  if (directory_exists(output)) {
    return invalid_argument("{}: is a directory; name a file to write", output);
  }
  const auto folder = std::filesystem::path(output).parent_path();
  if (!folder.empty() && !directory_exists(folder.string())) {
    return not_found("{}: there is no directory {}", output, folder.string());
  }
  for (const std::string& input : inputs) {
    std::vector<std::string> files = {input};
    std::error_code error;
    if (directory_exists(input)) {
      for (const auto& entry : std::filesystem::directory_iterator(input, error)) {
        files.push_back(entry.path().string());
      }
    }
    // An output that is not there yet has a name alone.
    const auto name = std::filesystem::weakly_canonical(output, error);
    if (std::ranges::none_of(files, [&](const std::string& f) {
          return same_file(f, output) ||
                 (!f.empty() && std::filesystem::weakly_canonical(f, error) == name);
        })) {
      continue;
    }
    return invalid_argument("{}: is {}; choose another output", output,
                            &input == &inputs.front() ? "the model itself" : "one of the inputs");
  }
  return {};
}

}  // namespace pare::cli

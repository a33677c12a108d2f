// model.safetensors.index.json beside two shards: every accepted index names all tensors that are
// then there, each in a shard of this directory.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "formats/safetensors/reader.h"
#include "formats/safetensors/writer.h"

namespace {

using namespace pare;

// Removed when the program ends.
struct Directory {
  std::filesystem::path path;
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "pare-index-XXXXXX").string();
    PARE_CHECK(mkdtemp(name.data()) != nullptr, "a temporary directory");
    path = name;
    save("a.safetensors",
         {{"x", safetensors::Dtype::kF32, {2, 3}}, {"y", safetensors::Dtype::kF16, {4}}});
    save("b.safetensors", {{"z", safetensors::Dtype::kBF16, {5}}});
  }
  ~Directory() { std::filesystem::remove_all(path); }

  void save(const char* name, const std::vector<safetensors::TensorSpec>& tensors) {
    const auto plan = safetensors::plan_files(name, tensors);
    PARE_CHECK(plan.ok(), plan.status().message());
    std::string bytes = plan->files[0].header;
    bytes.resize(plan->bytes(), '\1');
    PARE_CHECK(write_text_atomically((path / name).string(), bytes).ok(), "a shard");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Directory directory;
  const std::string index = (directory.path / "model.safetensors.index.json").string();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  PARE_CHECK(write_text_atomically(index, text).ok(), "the index");
  const auto file = safetensors::File::open_index(index);
  if (!file.ok()) return 0;
  PARE_CHECK((*file)->tensors().size() <= 3, "tensors that no shard has");
  uint64_t bytes = 0;
  for (size_t i = 0; i < (*file)->tensors().size(); ++i) bytes += (*file)->raw(i).size();
  PARE_CHECK(bytes <= 24 + 8 + 10, "a tensor is there twice");
  return 0;
}

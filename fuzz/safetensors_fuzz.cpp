// safetensors: nothing that can be parsed lies outside the file, and what was read can be written
// and read again.

#include "base/check.h"
#include "formats/safetensors/reader.h"
#include "formats/safetensors/writer.h"

namespace {

using namespace pare;

std::shared_ptr<const MappedFile> mapped(std::string bytes) {
  return MappedFile::from_bytes("input.safetensors", std::move(bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = safetensors::File::parse(mapped({reinterpret_cast<const char*>(data), size}));
  if (!file.ok()) return 0;
  uint64_t bytes = 0, sum = 0;
  std::vector<safetensors::TensorSpec> specs;
  for (size_t i = 0; i < (*file)->tensors().size(); ++i) {
    const TensorInfo& info = (*file)->tensors()[i];
    for (std::byte b : (*file)->raw(i)) sum += static_cast<uint64_t>(b);
    bytes += (*file)->raw(i).size();
    specs.push_back({info.name, (*file)->dtype(i), info.shape});
  }
  const volatile uint64_t sink = sum;
  (void)sink;
  PARE_CHECK(bytes <= size, "tensors do not overlap");

  safetensors::LayoutOptions options;
  options.metadata = (*file)->metadata();
  const auto plan = safetensors::plan_files("out.safetensors", specs, options);
  PARE_CHECK(plan.ok(), plan.status().message());
  std::string written = plan->files[0].header;
  written.resize(plan->bytes());
  const auto again = safetensors::File::parse(mapped(std::move(written)));
  PARE_CHECK(again.ok(), again.status().message());
  PARE_CHECK((*again)->metadata() == (*file)->metadata(), "metadata survives");
  PARE_CHECK((*again)->tensors().size() == specs.size(), "tensors survive");
  return 0;
}

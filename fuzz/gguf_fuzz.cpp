// GGUF: nothing that can be parsed lies outside the file, and what was read can be written and
// read again.

#include "base/check.h"
#include "formats/gguf/reader.h"
#include "formats/gguf/writer.h"

namespace {

using namespace pare;

uint64_t sum_of_bytes(const gguf::File& file) {
  uint64_t sum = 0;
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const auto tensor = file.read(i);
    PARE_CHECK(tensor.ok(), "a parsed tensor can be read");
    for (std::byte b : tensor->bytes) sum += static_cast<uint64_t>(b);
  }
  return sum;
}

std::shared_ptr<const MappedFile> mapped(std::string bytes) {
  return MappedFile::from_bytes("input.gguf", std::move(bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = gguf::File::parse(mapped({reinterpret_cast<const char*>(data), size}));
  if (!file.ok()) return 0;
  const volatile uint64_t sum = sum_of_bytes(**file);
  (void)sum;
  for (const auto& [key, value] : (*file)->metadata()) {
    PARE_CHECK(!value.to_string().empty(), "values have a text");
  }

  const auto plan = gguf::plan_files("out.gguf", (*file)->metadata(), (*file)->tensors());
  if (!plan.ok()) return 0;  // a name that is read but not written
  std::string written = plan->files[0].header;
  written.resize(plan->bytes());
  const auto again = gguf::File::parse(mapped(std::move(written)));
  PARE_CHECK(again.ok(), again.status().message());
  PARE_CHECK((*again)->metadata() == (*file)->metadata(), "metadata survives");
  PARE_CHECK((*again)->tensors().size() == (*file)->tensors().size(), "tensors survive");
  for (size_t i = 0; i < (*file)->tensors().size(); ++i) {
    const TensorInfo &a = (*file)->tensors()[i], &b = (*again)->tensors()[i];
    PARE_CHECK(a.name == b.name && a.shape == b.shape && a.codec == b.codec && a.bytes == b.bytes,
               "a tensor survives");
  }
  return 0;
}

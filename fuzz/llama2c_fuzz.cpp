// llama2.c checkpoints: two bytes with the length of the tokenizer file, that file, and the
// checkpoint. Whatever is accepted lies inside the file, and its metadata describe a model or are
// refused.

#include "base/check.h"
#include "formats/llama2c.h"
#include "model/arch/arch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  if (size < 2) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string_view tokenizer = all.substr(0, size_t{data[0]} | size_t{data[1]} << 8);
  const auto checkpoint =
      MappedFile::from_bytes("model.bin", std::string(all.substr(tokenizer.size())));
  const auto file = llama2c::File::parse(
      checkpoint,
      tokenizer.empty() ? nullptr : MappedFile::from_bytes("tok.bin", std::string(tokenizer)));
  if (!file.ok()) return 0;
  PARE_CHECK(llama2c::File::recognises(checkpoint->bytes()), "what is read is recognised");
  uint64_t bytes = 0;
  for (size_t i = 0; i < (*file)->tensors().size(); ++i) {
    const auto tensor = (*file)->read(i);
    PARE_CHECK(tensor.ok(), tensor.status().message());
    volatile std::byte last = tensor->bytes.back();
    (void)last;
    bytes += tensor->bytes.size();
  }
  PARE_CHECK(bytes <= all.size(), "tensors do not overlap");
  (void)describe_model((*file)->metadata(), (*file)->tensors());
  return 0;
}

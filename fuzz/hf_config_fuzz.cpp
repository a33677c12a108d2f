// config.json: the JSON reader accepts no more than the library does, and no configuration makes
// an architecture crash or describe something absurdly large.

#include "base/check.h"
#include "formats/json.h"
#include "model/arch/arch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = parse_json(text, "config.json");
  if (!config.ok()) return 0;
  PARE_CHECK(nlohmann::json::accept(text), "strict means stricter than the library");
  const auto again = parse_json(config->dump(), "config.json");
  PARE_CHECK(again.ok() && *again == *config, "JSON survives");

  // A description has at most as many blocks as there are tensors.
  static const std::vector<TensorInfo> tensors(100, {"t", {1}, CodecId::kF32, 4});
  for (const Architecture* arch : all_architectures()) {
    gguf::Metadata metadata;
    metadata.set("general.architecture", arch->name);
    KeyWriter keys(&metadata, arch->name);
    if (!arch->metadata_from_config(HfConfig(*config), &keys).ok()) continue;
    const auto desc = describe_model(metadata, tensors);
    PARE_CHECK(!desc.ok() || desc->tensors.size() < 10'000, "an absurd number of tensors");
  }
  return 0;
}

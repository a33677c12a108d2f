// Chat templates: any bytes are a template.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/tokenizer/jinja.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(R"({
      "messages": [{"role": "user", "content": "Hi \u00e9"}, {"role": "tool", "content": null}],
      "tools": [{"name": "f", "arguments": {"a": 1, "b": [1.5, true]}}],
      "bos_token": "<s>", "add_generation_prompt": true})");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = pare::jinja::Template::parse(text);
  if (!parsed.ok()) return 0;
  const pare::jinja::Limits limits{.steps = 20'000, .memory = 8 << 20, .output = 1 << 20};
  (void)parsed->render(variables, limits);
  return 0;
}

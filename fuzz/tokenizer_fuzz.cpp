// Tokenizer files and texts. The first byte chooses: a tokenizer.json, a tokenizer.model, or text
// for a small byte-level vocabulary with one of the known pre-tokenizers.
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/json.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/hf_spec.h"
#include "model/tokenizer/pre_kinds.h"
#include "model/tokenizer/sentencepiece_model.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {
namespace {

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.encode(text);
  if (!ids.ok()) return;
  for (int32_t id : *ids) PARE_CHECK(id >= 0 && id < tokenizer.vocabulary(), "an id that is none");
  (void)tokenizer.decode(*ids);
}

void fuzz_json(std::string_view bytes) {
  const auto json = parse_json(bytes, "tokenizer.json");
  if (!json.ok()) return;
  auto spec = spec_from_tokenizer_json(*json, nlohmann::json::object());
  if (!spec.ok()) return;
  const auto tokenizer = Tokenizer::create(*std::move(spec));
  if (tokenizer.ok()) check_text(**tokenizer, "Hello  wor\xc3\xa9ld <s>\n1234 \xff");
}

void fuzz_text(uint8_t choice, std::string_view text) {
  const auto kinds = pre_kinds();
  TokenizerSpec spec;
  spec.byte_level = true;
  for (int b = 0; b < 256; ++b) {
    spec.tokens.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(b))));
  }
  spec.tokens.insert(spec.tokens.end(), {"ab", "abc", "<|end|>"});
  spec.merges = {{"a", "b"}, {"ab", "c"}};
  spec.added = {{.id = 258, .text = "<|end|>", .lstrip = true, .rstrip = true}};
  auto pre = pre_tokenizer_of(kinds[choice % kinds.size()]);
  PARE_CHECK(pre.ok(), pre.status().message());
  spec.pre_tokenizer = *std::move(pre);
  const auto tokenizer = Tokenizer::create(std::move(spec));
  PARE_CHECK(tokenizer.ok(), tokenizer.status().message());
  check_text(**tokenizer, text);
}

}  // namespace
}  // namespace pare

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 3) {
    case 0:
      pare::fuzz_json(rest);
      break;
    case 1:
      (void)pare::parse_sentencepiece_model(std::as_bytes(std::span(rest.data(), rest.size())),
                                            "m");
      break;
    default:
      pare::fuzz_text(data[1], rest);
  }
  return 0;
}

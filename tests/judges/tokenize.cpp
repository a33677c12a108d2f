// tokenize MODEL FILE: encodes texts for judge_tokenizers.py. MODEL is a GGUF file or a Hugging
// Face directory; FILE holds texts, each after its length as 4 little-endian bytes. One line of ids
// per text, special tokens recognised but none added.
#include <fmt/format.h>

#include <cstdio>

#include "base/byte_reader.h"
#include "base/file.h"
#include "formats/gguf/reader.h"
#include "formats/hf_directory.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {
namespace {

Result<std::shared_ptr<const Tokenizer>> load(const std::string& path) {
  if (directory_exists(path)) {
    PARE_ASSIGN_OR_RETURN(auto directory, HfDirectory::open(path, {.weights = false}));
    return Tokenizer::from_hf(*directory);
  }
  PARE_ASSIGN_OR_RETURN(auto file, gguf::File::open(path));
  return Tokenizer::from_gguf(file->metadata());
}

Status run(const std::string& model, const std::string& path) {
  PARE_ASSIGN_OR_RETURN(const auto tokenizer, load(model));
  PARE_ASSIGN_OR_RETURN(const auto file, MappedFile::open(path));
  ByteReader reader(file->bytes(), path);
  while (reader.remaining() > 0) {
    PARE_ASSIGN_OR_RETURN(const uint32_t size, reader.number<uint32_t>("a length"));
    PARE_ASSIGN_OR_RETURN(const auto bytes, reader.bytes(size, "a text"));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    PARE_ASSIGN_OR_RETURN(const auto ids, tokenizer->encode(text, {.add_special = false}));
    fmt::print("{}\n", fmt::join(ids, " "));
  }
  return {};
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: tokenize MODEL FILE\n");
    return 2;
  }
  const pare::Status status = pare::run(argv[1], argv[2]);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  return status.ok() ? 0 : 1;
}

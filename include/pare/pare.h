// The public interface of libpare_core: open a model in any form that pare reads, look at it,
// take its weights as floats, use its tokenizer. Stable within a minor version. Nothing here
// throws, prints or exits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pare::api {

// "0.1.0"
const char* version();

// What went wrong; `message` names the file, the tensor, what was found and what was expected.
struct Error {
  std::string kind;  // "not found", "corrupt", "unsupported", ...; empty: nothing went wrong
  std::string message;
  explicit operator bool() const { return !kind.empty(); }
};

struct Tensor {
  std::string name;            // as in GGUF: "blk.0.attn_q.weight"
  std::string type;            // "Q4_K", "BF16"
  std::vector<int64_t> shape;  // slowest extent first
  uint64_t bytes = 0;          // as stored
};

// Immutable: any number of threads may use one.
class Model {
 public:
  // A GGUF file, a Hugging Face directory or a llama2.c checkpoint. Null on failure.
  static std::unique_ptr<Model> open(const std::string& path, Error* error);
  ~Model();

  const std::string& architecture() const;  // GGUF's name: "llama"
  const std::vector<Tensor>& tensors() const;
  // Tensor `index` of tensors(), dequantized, row by row.
  Error read(size_t index, std::vector<float>* values) const;

  // The ids that the model's own tokenizer gives, with what it puts before and after a text.
  Error encode(std::string_view text, std::vector<int32_t>* ids) const;
  Error decode(const std::vector<int32_t>& ids, std::string* text) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare::api

// The public interface of libpare_core: open a model in any form that pare reads, look at it,
// take its weights as floats, use its tokenizer, run it. Stable within a minor version. Nothing
// here throws, prints or exits. pare_c.h has the same for C. examples/ shows both.
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
  // A conversation by the model's own template, up to where the next answer begins.
  struct Message {
    std::string role, content;  // "system", "user" or "assistant"
  };
  Error encode_chat(const std::vector<Message>& messages, std::vector<int32_t>* ids) const;
  // True if the model ends a text with this token.
  bool is_end(int32_t id) const;

  int64_t vocabulary() const;  // logits of one position
  int64_t context() const;     // positions that the model was made for

 private:
  friend class Session;
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct SessionOptions {
  int64_t context = 0;     // positions; 0: as many as the model was made for, at most 4096
  std::string kv = "F16";  // how keys and values are kept: F32, F16, Q8_0 or Q4_0
  int threads = 0;         // 0: one per processor
};

// One text being run through a model, on packed weights. It keeps what it needs of the model, so
// it may outlive it; sessions of one model share its weights. One thread at a time.
class Session {
 public:
  // Null on failure.
  static std::unique_ptr<Session> create(const Model& model, const SessionOptions& options,
                                         Error* error);
  ~Session();

  // Runs tokens after those so far. logits: the model's scores of every token that may come after
  // the last of them; null if they are not wanted.
  Error forward(const std::vector<int32_t>& ids, std::vector<float>* logits);
  int64_t length() const;       // tokens so far
  int64_t capacity() const;     // tokens that there is room for
  void rewind(int64_t length);  // forgets what comes after so many tokens

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How the next token is chosen. Applied in this order: penalty, top-k, top-p, min-p, temperature.
struct Sampling {
  float temperature = 0.8f;     // 0: the likeliest token
  int top_k = 40;               // 0: all
  float top_p = 0.95f;          // 1: all
  float min_p = 0.05f;          // 0: all
  float repeat_penalty = 1.0f;  // above 1: tokens of the last 64 become less likely
  uint64_t seed = 1;
};

class Sampler {
 public:
  // Options out of their range are reported by pick().
  explicit Sampler(const Sampling& options);
  ~Sampler();
  // history: the text so far, for the penalty.
  Error pick(const std::vector<float>& logits, const std::vector<int32_t>& history, int32_t* id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare::api

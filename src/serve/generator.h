// Text from a model, token by token: prompt, sampling, stop strings, and drafts of a smaller
// model that the larger one checks several tokens at a time (Leviathan et al., "Fast inference
// from transformers via speculative decoding", 2023). A drafted token counts only if it is the
// one that the sampler picks from the large model's logits, so that drafts change the time and
// not the text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/exec_native/session.h"
#include "model/tokenizer/tokenizer.h"
#include "serve/sampler.h"
#include "serve/text_stream.h"

namespace pare {

struct GenerateOptions {
  SamplerOptions sampler;
  int64_t max_tokens = -1;        // -1: until the context is full
  std::vector<std::string> stop;  // texts that end the answer; not part of it
  bool ignore_end = false;        // go on after the model's own end (benchmarks)
  int max_draft = 7;              // tokens that are drafted at once, at most; no more than 7
};

enum class Finish { kEnd, kStopString, kMaxTokens, kContextFull, kCancelled };
const char* finish_name(Finish finish);  // "end", "stop string", ...

struct Generated {
  std::vector<int32_t> tokens;  // without the one that ended the text
  std::string text;
  Finish finish = Finish::kEnd;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt: run already, for the text before
  int64_t drafted = 0, accepted = 0;
  double prompt_seconds = 0.0;  // until the first token was there
  double decode_seconds = 0.0;  // for those after it
};

class Generator {
 public:
  // Called with each piece of text, which is valid UTF-8. False ends the generation.
  using OnText = std::function<bool(std::string_view)>;
  // Asked between steps; true ends the generation.
  using Stop = std::function<bool()>;

  // `draft` may be null. kInvalidArgument: its vocabulary is another.
  static Result<std::unique_ptr<Generator>> create(std::unique_ptr<Session> session,
                                                   std::shared_ptr<const Tokenizer> tokenizer,
                                                   std::unique_ptr<Session> draft = nullptr);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Session& session() const { return *session_; }

  // Text that follows `prompt`. What prompt has in common with the text before is not run again.
  // Errors: kInvalidArgument: an empty prompt, one that fills the context, options out of range;
  // kCorrupt: logits that are no numbers.
  Result<Generated> generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                             const OnText& on_text = nullptr, const Stop& stop = nullptr);

 private:
  class Run;
  Generator() = default;
  std::unique_ptr<Session> session_, draft_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> tokens_;  // the text so far; the sessions have run a beginning of it
};

}  // namespace pare

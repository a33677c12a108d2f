// Chat messages to the text that a model was trained on, by the model's own Jinja template.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/tokenizer/jinja.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {

struct ChatOptions {
  bool add_generation_prompt = false;  // ends with the beginning of the assistant's answer
  nlohmann::ordered_json tools;        // an array of function descriptions, or null
  nlohmann::ordered_json extra;        // more variables for the template ("enable_thinking")
};

// Immutable: any number of threads may render.
class ChatTemplate {
 public:
  // The template of this tokenizer's model, with its BOS and EOS texts as variables. kNotFound:
  // the model has none.
  static Result<ChatTemplate> of(const Tokenizer& tokenizer);
  // bos, eos: texts of these tokens, or empty.
  static Result<ChatTemplate> parse(std::string_view source, std::string bos, std::string eos);

  // messages: an array of objects with "role" and "content". The result holds the special tokens
  // as text, BOS included where the template puts it: encode it with add_special = false.
  Result<std::string> render(const nlohmann::ordered_json& messages,
                             const ChatOptions& options = {}) const;

 private:
  ChatTemplate(jinja::Template parsed, std::string bos, std::string eos)
      : template_(std::move(parsed)), bos_(std::move(bos)), eos_(std::move(eos)) {}
  jinja::Template template_;
  std::string bos_, eos_;
};

}  // namespace pare

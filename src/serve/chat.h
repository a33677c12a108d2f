// A conversation, written as the model's own template wants it.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/chat_template.h"

namespace pare {

class Chat {
 public:
  // `tokenizer` must outlive the chat. kNotFound: the model has no chat template.
  static Result<Chat> create(const Tokenizer& tokenizer, const std::string& system = "");

  // The whole conversation with one more message of the user's, up to where the answer begins.
  Result<std::vector<int32_t>> ask(const std::string& message);
  // Forgets the message that was asked last.
  void take_back() { messages_.erase(messages_.size() - 1); }
  // The answer to it, for the turns to come.
  void answer(const std::string& text);

 private:
  Chat(const Tokenizer& tokenizer, ChatTemplate parsed)
      : tokenizer_(&tokenizer), template_(std::move(parsed)) {}
  const Tokenizer* tokenizer_;
  ChatTemplate template_;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
};

}  // namespace pare

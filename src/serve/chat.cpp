#include "serve/chat.h"

namespace pare {

Result<Chat> Chat::create(const Tokenizer& tokenizer, const std::string& system) {
  PARE_ASSIGN_OR_RETURN(ChatTemplate parsed, ChatTemplate::of(tokenizer));
  Chat chat(tokenizer, std::move(parsed));
  if (!system.empty()) chat.messages_.push_back({{"role", "system"}, {"content", system}});
  return chat;
}

Result<std::vector<int32_t>> Chat::ask(const std::string& message) {
  messages_.push_back({{"role", "user"}, {"content", message}});
  PARE_ASSIGN_OR_RETURN(const std::string text,
                        template_.render(messages_, {.add_generation_prompt = true}));
  // The template wrote the special tokens out.
  return tokenizer_->encode(text, {.add_special = false, .parse_special = true});
}

void Chat::answer(const std::string& text) {
  messages_.push_back({{"role", "assistant"}, {"content", text}});
}

}  // namespace pare

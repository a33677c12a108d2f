#include "model/tokenizer/chat_template.h"

namespace pare {

Result<ChatTemplate> ChatTemplate::of(const Tokenizer& tokenizer) {
  if (tokenizer.chat_template().empty()) return not_found("the model has no chat template");
  const auto text = [&](int32_t id) {
    return id < 0 ? std::string() : tokenizer.spec().tokens[static_cast<size_t>(id)];
  };
  return parse(tokenizer.chat_template(), text(tokenizer.special().bos),
               text(tokenizer.special().eos));
}

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string bos,
                                         std::string eos) {
  PARE_ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::parse(source));
  return ChatTemplate(std::move(parsed), std::move(bos), std::move(eos));
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& messages,
                                         const ChatOptions& options) const {
  if (!messages.is_array()) return invalid_argument("chat messages: expected an array");
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  if (options.extra.is_object()) variables = options.extra;
  variables["messages"] = messages;
  variables["add_generation_prompt"] = options.add_generation_prompt;
  variables["tools"] = options.tools;
  if (!bos_.empty()) variables["bos_token"] = bos_;
  if (!eos_.empty()) variables["eos_token"] = eos_;
  return template_.render(variables);
}

}  // namespace pare

#include "model/tokenizer/special_tokens.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace pare {
namespace {

constexpr std::string_view kEndOfTurn[] = {
    "<|eot_id|>",        "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>",   "<EOT>",      "_<EOT>",  "[EOT]",         "<｜end▁of▁sentence｜>",
    "<end_of_utterance>"};

constexpr std::string_view kEndOfGeneration[] = {"<|eot_id|>",
                                                 "<|im_end|>",
                                                 "<|end|>",
                                                 "<|return|>",
                                                 "<|call|>",
                                                 "<|flush|>",
                                                 "<|calls|>",
                                                 "<end_of_turn>",
                                                 "<|endoftext|>",
                                                 "</s>",
                                                 "<|eom_id|>",
                                                 "<EOT>",
                                                 "_<EOT>",
                                                 "[EOT]",
                                                 "[EOS]",
                                                 "<|end_of_text|>",
                                                 "<end_of_utterance>",
                                                 "<eos>",
                                                 "<turn|>",
                                                 "<|tool_response>",
                                                 "<｜end▁of▁sentence｜>",
                                                 "[e~["};

}  // namespace

void find_end_tokens(TokenizerSpec* spec) {
  std::unordered_map<std::string_view, int32_t> ids;  // of all that is asked for here
  for (std::string_view text : kEndOfTurn) ids[text] = -1;
  for (std::string_view text : kEndOfGeneration) ids[text] = -1;
  for (size_t i = 0; i < spec->tokens.size(); ++i) {
    const auto it = ids.find(spec->tokens[i]);
    if (it != ids.end() && it->second < 0) it->second = static_cast<int32_t>(i);
  }
  const auto id_of = [&](std::string_view text) { return ids.at(text); };
  for (std::string_view text : kEndOfTurn) {
    if (spec->special.eot < 0) spec->special.eot = id_of(text);
  }
  if (spec->special.eom < 0) spec->special.eom = id_of("<|eom_id|>");

  std::vector<int32_t>& end = spec->end_of_generation;
  const auto add = [&](int32_t id) {
    if (id >= 0 && std::find(end.begin(), end.end(), id) == end.end()) end.push_back(id);
  };
  for (std::string_view text : kEndOfGeneration) {
    const int32_t id = id_of(text);
    add(id);
    if (id >= 0) spec->types[id] = TokenType::kControl;
  }
  add(spec->special.eos);
  add(spec->special.eot);
  add(spec->special.eom);
  // Where other tokens end the whole answer, <|end|> ends only a part of it.
  const bool harmony = id_of("<|call|>") >= 0 && id_of("<|return|>") >= 0;
  const bool solar = (id_of("<|call|>") >= 0 || id_of("<|calls|>") >= 0) && id_of("<|flush|>") >= 0;
  if (harmony || solar) std::erase(end, id_of("<|end|>"));
}

}  // namespace pare

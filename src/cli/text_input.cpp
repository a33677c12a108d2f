#include "cli/text_input.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "eval/compare.h"
#include "model/tokenizer/chat_template.h"
#include "model/tokenizer/utf8.h"

namespace pare::cli {
namespace {

constexpr uint64_t kMaxText = uint64_t{1} << 30;

Result<std::vector<int32_t>> tokenize_text(const std::string& path, const Tokenizer& tokenizer,
                                           Progress& progress) {
  PARE_ASSIGN_OR_RETURN(const std::string text, read_text(path, kMaxText));
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (!point.valid) {
      progress.note(
          fmt::format("{}: not UTF-8 from byte {} on; such bytes are read as U+FFFD", path, at));
      break;
    }
    at += point.size;
  }
  auto tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false});
  if (!tokens.ok()) return tokens.status().with_context(path);
  return tokens;
}

// One conversation per line: {"messages": [{"role", "content"}, ...]}, through the template.
Result<std::vector<int32_t>> tokenize_chat(const std::string& path, const Tokenizer& tokenizer) {
  auto chat = ChatTemplate::of(tokenizer);
  if (!chat.ok()) return chat.status().with_context("--chat needs the model's template");
  PARE_ASSIGN_OR_RETURN(const std::string text, read_text(path, kMaxText));
  std::vector<int32_t> tokens;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto where = fmt::format("{}:{}", path, number);
    const auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    const auto messages =
        json.is_object() ? json.value("messages", nlohmann::ordered_json()) : json;
    if (!messages.is_array()) {
      return invalid_argument("{}: not a JSON object with \"messages\"", where);
    }
    auto rendered = chat->render(messages);
    if (!rendered.ok()) return rendered.status().with_context(where);
    auto ids = tokenizer.encode(*rendered, {.add_special = false, .parse_special = true});
    if (!ids.ok()) return ids.status().with_context(where);
    tokens.insert(tokens.end(), ids->begin(), ids->end());
  }
  return tokens;
}

}  // namespace

void add_calibration_text(CLI::App& app, CalibrationText& options) {
  auto* text = app.add_option("--text", options.text, "Calibration text (UTF-8)");
  app.add_option("--chat", options.chat,
                 "Calibration conversations: JSON lines with \"messages\", through the template")
      ->excludes(text);
  app.add_option("--chunks", options.chunks, "Windows of calibration tokens")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--ctx", options.context, "Tokens in a window")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 20));
  app.add_option("--seed", options.seed, "Of whatever is sampled")->capture_default_str();
}

Result<std::shared_ptr<const Tokenizer>> model_tokenizer(const Model& model) {
  auto tokenizer = Tokenizer::from_gguf(model.metadata);
  if (!tokenizer.ok()) return tokenizer.status().with_context(model.path);
  return tokenizer;
}

Result<TokenWindows> calibration_windows(const CalibrationText& options,
                                         std::shared_ptr<const Model> model, Backend& backend,
                                         ThreadPool& pool, Progress& progress,
                                         std::string* description) {
  if (const int64_t most = model->desc.hparams.n_context; most > 0 && options.context > most) {
    return invalid_argument("--ctx {}: the model was made for {} tokens", options.context, most);
  }
  PARE_ASSIGN_OR_RETURN(const auto tokenizer, model_tokenizer(*model));
  const int32_t bos = tokenizer->adds_bos() ? tokenizer->special().bos : -1;
  if (options.text.empty() && options.chat.empty()) {
    *description = fmt::format("sampled from the model, seed {}", options.seed);
    const int32_t first = tokenizer->special().bos;
    return backend.sample(std::move(model), options.chunks, options.context, first, options.seed,
                          pool, progress);
  }
  const std::string& path = options.text.empty() ? options.chat : options.text;
  *description = path;
  PARE_ASSIGN_OR_RETURN(const auto tokens, options.text.empty()
                                               ? tokenize_chat(path, *tokenizer)
                                               : tokenize_text(path, *tokenizer, progress));
  auto windows = make_windows(tokens, {.context = options.context, .chunks = 0, .bos = bos});
  if (!windows.ok()) return windows.status().with_context(path);
  // Spread over the whole text: its beginning need not be like the rest.
  const size_t have = windows->size();
  const auto want = static_cast<size_t>(options.chunks);
  if (have <= want) {
    progress.note(
        fmt::format("{}: {} windows of {} tokens, all used", path, have, options.context));
    return windows;
  }
  TokenWindows chosen;
  for (size_t i = 0; i < want; ++i) chosen.push_back((*windows)[i * have / want]);
  return chosen;
}

Result<TokenWindows> evaluation_windows(const std::string& path, const Model& model,
                                        int64_t context, int64_t chunks, Progress& progress) {
  PARE_ASSIGN_OR_RETURN(const auto tokenizer, model_tokenizer(model));
  PARE_ASSIGN_OR_RETURN(const auto tokens, tokenize_text(path, *tokenizer, progress));
  const int32_t bos = tokenizer->adds_bos() ? tokenizer->special().bos : -1;
  auto windows = make_windows(tokens, {.context = context, .chunks = chunks, .bos = bos});
  if (!windows.ok()) return windows.status().with_context(path);
  return windows;
}

}  // namespace pare::cli

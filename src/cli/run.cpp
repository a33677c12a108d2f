#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <optional>

#include "cli/native_session.h"
#include "cli/text_input.h"
#include "cli/verb.h"
#include "serve/chat.h"
#include "serve/generator.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  NativeOptions native;
  GenerateOptions generate;
  std::string model, prompt, system, draft;
  bool has_prompt = false, chat = false;
};

// None where nothing was measured.
std::optional<double> per_second(int64_t count, double seconds) {
  if (count <= 0 || seconds <= 0.0) return std::nullopt;
  return static_cast<double>(count) / seconds;
}

// The prompt's own tokens and the first token after it; then the others.
std::optional<double> prompt_speed(const Generated& g) {
  return per_second(g.prompt_tokens - g.reused_tokens, g.prompt_seconds);
}
std::optional<double> decode_speed(const Generated& g) {
  return per_second(static_cast<int64_t>(g.tokens.size()) - 1, g.decode_seconds);
}

void print_statistics(const Generated& g, double load_seconds) {
  const auto speed = [](std::optional<double> value) {
    return value ? fmt::format(" ({:.1f}/s)", *value) : std::string();
  };
  std::string line =
      fmt::format("{} tokens of prompt{}, {} new{}", g.prompt_tokens - g.reused_tokens,
                  speed(prompt_speed(g)), g.tokens.size(), speed(decode_speed(g)));
  if (!g.tokens.empty()) line += fmt::format(", first after {:.3f} s", g.prompt_seconds);
  line += fmt::format(", loaded in {:.3f} s", load_seconds);
  if (g.drafted > 0) line += fmt::format(", {} of {} drafted taken", g.accepted, g.drafted);
  fmt::print(stderr, "\n[{}, {}: {}]\n", line, format_bytes(peak_memory()), finish_name(g.finish));
}

nlohmann::ordered_json to_json(const Generated& g, const Args& args, double load_seconds) {
  const auto measured = [](std::optional<double> value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  const std::optional<double> first_token =
      g.tokens.empty() ? std::nullopt : std::optional(g.prompt_seconds);
  return {{"model", args.model},
          {"prompt_tokens", g.prompt_tokens},
          {"reused_tokens", g.reused_tokens},
          {"new_tokens", g.tokens.size()},
          {"finish", finish_name(g.finish)},
          {"text", g.text},
          {"tokens", g.tokens},
          {"seed", args.generate.sampler.seed},
          {"drafted_tokens", g.drafted},
          {"accepted_tokens", g.accepted},
          {"load_seconds", load_seconds},
          {"first_token_seconds", measured(first_token)},
          {"prompt_tokens_per_second", measured(prompt_speed(g))},
          {"tokens_per_second", measured(decode_speed(g))},
          {"peak_memory_bytes", peak_memory()}};
}

// A terminal would obey what a model writes between the characters.
bool show(std::string_view text) {
  static const bool terminal = ::isatty(1) != 0;
  std::string shown(text);
  for (char& c : shown) {
    if (terminal && static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') c = '?';
  }
  fmt::print("{}", shown);
  return std::fflush(stdout) == 0;
}

// Why a text ended before its end.
Status stopped() {
  return std::ferror(stdout) != 0 ? io_error("stdout: cannot write") : cancelled("stopped");
}

// One text: the prompt as it is, or as a message of the user's.
Status run_once(const Args& args, Generator& generator, double load_seconds) {
  std::vector<int32_t> tokens;
  if (args.chat) {
    auto chat = Chat::create(generator.tokenizer(), args.system);
    if (!chat.ok()) {
      return invalid_argument("--chat: {}: {}", args.model, chat.status().message());
    }
    PARE_ASSIGN_OR_RETURN(tokens, chat->ask(args.prompt));
  } else {
    PARE_ASSIGN_OR_RETURN(tokens, generator.tokenizer().encode(args.prompt));
    // What the tokenizer puts behind a whole text would end it.
    const size_t behind = generator.tokenizer().spec().suffix.size();
    tokens.resize(tokens.size() - std::min(behind, tokens.size()));
  }
  const bool json = args.common.json;
  const Generator::OnText on_text = json ? Generator::OnText() : show;
  PARE_ASSIGN_OR_RETURN(const Generated result,
                        generator.generate(tokens, args.generate, on_text, stop_was_requested));
  if (json) {
    print_json(to_json(result, args, load_seconds));
  } else {
    fmt::print("\n");
    if (std::fflush(stdout) == 0 && !args.common.quiet) print_statistics(result, load_seconds);
  }
  return result.finish == Finish::kCancelled ? stopped() : Status();
}

// One line of the user's, or false at the end of input. Ctrl-C while waiting ends the program.
bool read_line(bool terminal, std::string* line) {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  if (terminal) {
    fmt::print("> ");
    std::fflush(stdout);
  }
  const bool read = static_cast<bool>(std::getline(std::cin, *line));
  install_stop_handler();
  return read;
}

Status run_chat(const Args& args, Generator& generator, double load_seconds) {
  auto chat = Chat::create(generator.tokenizer(), args.system);
  if (!chat.ok()) {
    return invalid_argument("{}: {}: give a text to go on with by -p", args.model,
                            chat.status().message());
  }
  const bool terminal = ::isatty(0) != 0;
  std::string line;
  while (read_line(terminal, &line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    PARE_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, chat->ask(line));
    const int64_t capacity = generator.session().capacity();
    if (terminal && static_cast<int64_t>(tokens.size()) >= capacity) {
      fmt::print(stderr,
                 "with this message the conversation has {} tokens, of {} at most (--ctx)\n",
                 tokens.size(), capacity);
      chat->take_back();
      continue;
    }
    const Generator::OnText on_text = args.common.json ? Generator::OnText() : show;
    PARE_ASSIGN_OR_RETURN(const Generated result,
                          generator.generate(tokens, args.generate, on_text, stop_was_requested));
    chat->answer(result.text);
    if (args.common.json) {
      print_json_line(to_json(result, args, load_seconds));
    } else {
      fmt::print("\n");
      std::fflush(stdout);
      if (!args.common.quiet) print_statistics(result, load_seconds);
    }
    if (result.finish == Finish::kCancelled && (!terminal || std::ferror(stdout) != 0)) {
      return stopped();
    }
    if (result.finish == Finish::kContextFull) {
      return invalid_argument("the conversation fills the context of {} tokens (--ctx)", capacity);
    }
    clear_stop_request();
  }
  if (terminal) fmt::print("\n");
  return {};
}

Status run(const Args& args) {
  const auto start = std::chrono::steady_clock::now();
  PARE_RETURN_IF_ERROR(check_sampler_options(args.generate.sampler));
  if (args.has_prompt && !args.chat && !args.system.empty()) {
    return invalid_argument("--system is for a chat: it needs --chat beside --prompt");
  }
  ThreadPool pool(args.common.threads);
  PARE_ASSIGN_OR_RETURN(const auto model, load_native(args.model));
  PARE_ASSIGN_OR_RETURN(const auto tokenizer, model_tokenizer(model->model()));
  const bool quiet = args.common.quiet;
  PARE_ASSIGN_OR_RETURN(MadeSession made, make_session(model, args.native, pool, quiet));
  MadeSession draft;
  if (!args.draft.empty()) {
    PARE_ASSIGN_OR_RETURN(const auto small, load_native(args.draft));
    NativeOptions options = args.native;
    options.device.gpu_layers = -1;  // said of the large one
    PARE_ASSIGN_OR_RETURN(draft, make_session(small, options, pool, quiet));
  }
  PARE_ASSIGN_OR_RETURN(const auto generator, Generator::create(std::move(made.session), tokenizer,
                                                                std::move(draft.session)));
  const double load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (stop_was_requested()) return cancelled("stopped");
  const Status status = args.has_prompt ? run_once(args, *generator, load_seconds)
                                        : run_chat(args, *generator, load_seconds);
  return status.code() == StatusCode::kCorrupt ? status.with_context(args.model) : status;
}

}  // namespace

Run add_run(CLI::App& app) {
  auto args = std::make_shared<Args>();
  SamplerOptions& sampler = args->generate.sampler;
  app.add_option("MODEL", args->model, "GGUF file or Hugging Face directory")->required();
  auto* prompt = app.add_option("-p,--prompt", args->prompt,
                                "Text to go on with (default: a chat, a line for each message)");
  app.add_flag("--chat", args->chat, "Send the prompt as a message of a chat")->needs(prompt);
  app.add_option("--system", args->system, "System message of the chat");
  app.add_option("-n,--max-tokens", args->generate.max_tokens,
                 "New tokens at most (default, and -1: until the context is full)")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 31));
  app.add_option("--stop", args->generate.stop, "Text that ends the answer; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--temp", sampler.temperature, "Temperature; 0: the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k", sampler.top_k, "Choose among so many tokens; 0: all")
      ->capture_default_str();
  app.add_option("--top-p", sampler.top_p, "Choose among the likeliest of this probability")
      ->capture_default_str();
  app.add_option("--min-p", sampler.min_p, "Choose among tokens this likely beside the likeliest")
      ->capture_default_str();
  app.add_option("--repeat-penalty", sampler.repeat_penalty, "Above 1: tokens are less repeated")
      ->capture_default_str();
  app.add_option("--seed", sampler.seed, "Of the choice of tokens")->capture_default_str();
  app.add_option("--draft", args->draft,
                 "Smaller model with the same tokenizer that drafts: faster, same text");
  add_native_options(app, args->native);
  add_common(app, args->common);
  return [args, prompt] {
    args->has_prompt = prompt->count() > 0;
    return run(*args);
  };
}

}  // namespace pare::cli

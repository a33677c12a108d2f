#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>

#include "cli/verb.h"
#include "kernels/cpu.h"

namespace pare::cli {
namespace {

struct VerbLine {
  const char* name;
  const char* summary;
  const char* example;
  Run (*add)(CLI::App& app);
};

constexpr VerbLine kVerbs[] = {
    {"inspect", "Show a model: architecture, tokenizer, tensors, true bits per weight",
     "pare inspect model.gguf", add_inspect},
    {"quantize", "Write a GGUF file of a preset or type",
     "pare quantize ./SmolLM2-135M -o small.gguf --type Q4_K_M", add_quantize},
    {"calibrate", "Measure activation statistics (an imatrix that llama.cpp reads, too)",
     "pare calibrate ./SmolLM2-135M --text notes.txt -o stats.gguf", add_calibrate},
    {"plan", "Choose a type for each tensor so that the file fits a size",
     "pare plan ./SmolLM2-135M --fit 90MB -o plan.json", add_plan},
    {"compress", "Calibrate, plan, compress, verify and report: the main job",
     "pare compress ./SmolLM2-135M --fit 90MB -o small.gguf", add_compress},
    {"eval", "Perplexity, and divergence from a baseline",
     "pare eval small.gguf --text notes.txt --baseline ./SmolLM2-135M", add_eval},
    {"diff", "Compare two models tensor by tensor", "pare diff ./SmolLM2-135M small.gguf",
     add_diff},
    {"convert", "Change the file format, or dequantize",
     "pare convert small.gguf -o small-f16.gguf --type F16", add_convert},
    {"run", "Text from a model: a prompt gone on with, or a chat",
     "pare run small.gguf -p \"Once upon a time\" --max-tokens 64", add_run},
    {"bench", "Speed and memory of a model on this machine",
     "pare bench small.gguf --prefill 512 --decode 128", add_bench},
};

int exit_code(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInvalidArgument:
      return 2;
    case StatusCode::kBrokenPromise:
      return 3;
    case StatusCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

// The library takes the best level when PARE_CPU names none; a person who set it wants to know.
Status check_cpu_choice() {
  const char* wanted = std::getenv("PARE_CPU");
  if (wanted == nullptr || *wanted == '\0') return {};
  if (std::string_view(wanted) == cpu_level_name(cpu_level())) return {};
  std::vector<std::string> levels;
  for (CpuLevel level : cpu_levels()) levels.emplace_back(cpu_level_name(level));
  return invalid_argument("PARE_CPU: \"{}\" is none of what this CPU runs: {}", wanted,
                          fmt::join(levels, ", "));
}

// What was wrong with the arguments. What no verb and no option takes is named first: that
// something else is missing may follow from it.
std::string complaint(const CLI::App* app, const CLI::Error& error) {
  const auto parsed = app->get_subcommands();
  const std::string verb = parsed.empty() ? "" : parsed.front()->get_name();
  const auto unknown = app->remaining(/*recurse=*/true);
  std::string what = error.what();
  if (!unknown.empty() && unknown.front().starts_with('-')) {
    what = unknown.front() + ": no such option";
  } else if (verb.empty()) {
    std::vector<std::string_view> names;
    for (const VerbLine& line : kVerbs) names.emplace_back(line.name);
    names.emplace_back("completion");
    what = fmt::format("{}; the verbs are {}",
                       unknown.empty() ? "a verb is needed" : unknown.front() + ": no such verb",
                       fmt::join(names, ", "));
  } else if (!unknown.empty()) {
    what = unknown.front() + ": one argument too many";
  }
  return fmt::format("pare: {}\nTry: pare {}{}--help\n", what, verb, verb.empty() ? "" : " ");
}

// An empty name is a variable of the shell's that is not set: taken for none, it would be another
// question. Texts may be empty.
Status refuse_empty_names(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options()) {
    const auto is = [&](const char* name) { return option->check_lname(name); };
    if (is("prompt") || is("system") || is("stop")) continue;
    for (const std::string& value : option->results()) {
      if (value.empty()) return invalid_argument("{} is empty", option->get_name());
    }
  }
  return {};
}

// Whether all that was printed was written: once was enough to lose some of it.
bool all_written() {
  std::cout.flush();
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && !std::cout.fail();
}

int run(int argc, char** argv) {
  CLI::App app{"pare makes trained neural networks smaller and proves that they still work."};
  app.name("pare");
  app.set_version_flag("--version", "pare " PARE_VERSION);
  app.require_subcommand(1);
  app.failure_message(complaint);
  app.get_formatter()->column_width(34);
  app.footer("Each verb has its own help and an example: pare VERB --help");
  std::vector<std::pair<CLI::App*, Run>> verbs;
  for (const VerbLine& line : kVerbs) {
    CLI::App* verb = app.add_subcommand(line.name, line.summary);
    verb->footer(fmt::format("Example:\n  {}", line.example));
    verbs.emplace_back(verb, line.add(*verb));
  }
  std::string shell;
  CLI::App* completion = app.add_subcommand("completion", "Print a shell completion script");
  completion->add_option("shell", shell, "bash, zsh or fish")->required();
  completion->footer("Example:\n  pare completion bash > ~/.local/share/bash-completion/pare");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (app.exit(e) != 0) return 2;
    return all_written() ? 0 : 1;
  }
  install_stop_handler();
  remember_command(argc, argv);
  Status status = check_cpu_choice();
  if (!status.ok()) {
    fmt::print(stderr, "pare: {}\n", status.message());
    return exit_code(status.code());
  }
  if (completion->parsed()) {
    const auto script = completion_script(app, shell);
    if (script.ok()) fmt::print("{}", *script);
    status = script.status();
  }
  for (const auto& [verb, body] : verbs) {
    if (!verb->parsed()) continue;
    status = refuse_empty_names(*verb);
    if (status.ok()) status = body();
  }
  if (!all_written() && status.ok()) status = io_error("stdout: cannot write");
  if (!status.ok()) fmt::print(stderr, "pare: {}\n", status.message());
  return exit_code(status.code());
}

}  // namespace

void add_common(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json, "Print results as JSON");
  app.add_flag("-q,--quiet", common.quiet, "No progress and no notes");
  app.add_option("-t,--threads", common.threads, "Threads to use (default: all processors)")
      ->check(CLI::Range(0, 1024));
}

}  // namespace pare::cli

int main(int argc, char** argv) {
  try {
    return pare::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "pare: the system has no more memory\n");
  } catch (const std::exception& error) {  // of fmt::print, and of threads that do not start
    std::fprintf(stderr, "pare: %s\n", error.what());
  }
  return 1;
}

#include <fmt/format.h>

#include "cli/backend_loader.h"
#include "cli/eval_report.h"
#include "cli/text_input.h"
#include "cli/verb.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  std::string model, baseline, text;
  int64_t context = 512, chunks = 0;
};

Status run_eval(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const auto start = std::chrono::steady_clock::now();
  ThreadPool pool(args.common.threads);
  PARE_ASSIGN_OR_RETURN(Model opened, open_model(args.model));
  const auto model = std::make_shared<const Model>(std::move(opened));
  PARE_ASSIGN_OR_RETURN(const TokenWindows windows,
                        evaluation_windows(args.text, *model, args.context, args.chunks));
  PARE_ASSIGN_OR_RETURN(Backend* const backend, load_backend());
  PARE_ASSIGN_OR_RETURN(const auto executor, backend->make_executor(model, pool));
  std::unique_ptr<Executor> baseline;
  if (!args.baseline.empty()) {
    PARE_ASSIGN_OR_RETURN(Model other, open_model(args.baseline, {.tokenizer = false}));
    PARE_ASSIGN_OR_RETURN(
        baseline, backend->make_executor(std::make_shared<const Model>(std::move(other)), pool));
  }
  PARE_ASSIGN_OR_RETURN(const EvalResult result,
                        evaluate(*executor, baseline.get(), windows, pool, progress));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (args.common.json) {
    auto json = eval_to_json(result);
    json["model"] = args.model;
    json["baseline"] = args.baseline;
    json["text"] = args.text;
    json["context"] = args.context;
    json["seconds"] = seconds;
    json["peak_memory_bytes"] = peak_memory();
    print_json(json);
  } else {
    fmt::print("{}{} windows of {} tokens in {}, {} of memory\n", eval_to_text(result),
               result.chunks, args.context, format_seconds(seconds), format_bytes(peak_memory()));
  }
  return {};
}

}  // namespace

Run add_eval(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory or GGUF file")->required();
  app.add_option("--text", args->text, "Held-out text (UTF-8)")->required();
  app.add_option("--baseline", args->baseline, "Model to compare with: KL divergence and more");
  app.add_option("--ctx", args->context, "Tokens in a window")->capture_default_str();
  app.add_option("--chunks", args->chunks, "Windows to use (default: all)");
  add_common(app, args->common);
  return [args] { return run_eval(*args); };
}

}  // namespace pare::cli

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "cli/backend_loader.h"
#include "cli/outputs.h"
#include "cli/plan_report.h"
#include "cli/search_options.h"
#include "cli/verb.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  SearchOptions search;
  std::string model, output;
};

Status make_plan(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const auto start = std::chrono::steady_clock::now();
  PARE_RETURN_IF_ERROR(check_output(args.output, inputs_of(args.search, args.model)));
  ThreadPool pool(args.common.threads);
  PARE_ASSIGN_OR_RETURN(Model opened, open_model(args.model));
  const auto model = std::make_shared<const Model>(std::move(opened));
  PARE_ASSIGN_OR_RETURN(const SearchTask task, search_task(args.search, *model));
  PARE_ASSIGN_OR_RETURN(
      Backend* const backend,
      load_backend(args.search.device,
                   {.model = &model->desc, .tokens = args.search.calibration.tokens()},
                   args.common.quiet));
  std::string description;
  PARE_ASSIGN_OR_RETURN(
      TokenWindows windows,
      calibration_windows(args.search.calibration, model, *backend, pool, progress, &description));
  SearchOptions search = args.search;
  search.scratch = args.output.empty()
                       ? (std::filesystem::temp_directory_path() / "pare-plan").string()
                       : args.output;
  search.scratch += fmt::format(".{}.scratch.gguf", getpid());
  PARE_ASSIGN_OR_RETURN(SearchOutcome outcome, search_plan(search, task, model, std::move(windows),
                                                           description, *backend, pool, progress));
  outcome.plan.command = command_line();
  if (!args.output.empty()) {
    PARE_RETURN_IF_ERROR(write_text_atomically(args.output, plan_to_json(outcome.plan)));
  }
  print_plan(outcome.plan, *model, args.common.json);
  if (!args.common.json) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{}{} and {} of memory\n",
               args.output.empty() ? "" : fmt::format("wrote {}; ", args.output),
               format_seconds(seconds), format_bytes(peak_memory()));
  }
  return {};
}

}  // namespace

Run add_plan(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory or GGUF file")->required();
  app.add_option("--fit", args->search.fit,
                 "Size of the whole file: 90MB, 4.5GB, 85MiB, bytes, or 4.5bpw")
      ->required();
  app.add_option("-o,--output", args->output, "Plan file to write (JSON)");
  add_search_options(app, args->search);
  add_common(app, args->common);
  return [args] { return make_plan(*args); };
}

}  // namespace pare::cli

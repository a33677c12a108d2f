#include <fmt/format.h>

#include <chrono>

#include "cli/outputs.h"
#include "cli/plan_options.h"
#include "cli/plan_report.h"
#include "cli/verb.h"
#include "compress/driver.h"
#include "compress/verify.h"
#include "planner/stats.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  PlanOptions plan;
  std::string model, output, imatrix, split;
  bool dry_run = false;
};

Status quantize(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const auto start = std::chrono::steady_clock::now();
  if (args.output.empty() && !args.dry_run) {
    return invalid_argument("-o OUTPUT is needed (or --dry-run to see what would be written)");
  }
  Budget split;
  if (!args.split.empty() && (!parse_budget(args.split, &split) || split.bytes == 0)) {
    return invalid_argument("--split-max-size: \"{}\" is not a size", args.split);
  }
  PARE_RETURN_IF_ERROR(check_output(args.output, {args.model, args.imatrix, args.plan.recipe}));
  PARE_ASSIGN_OR_RETURN(const Model model, open_model(args.model));
  CalibrationStats stats;
  if (!args.imatrix.empty()) {
    PARE_ASSIGN_OR_RETURN(stats, read_stats(args.imatrix, model));
  }
  PARE_ASSIGN_OR_RETURN(Plan plan, preset_plan(model, args.plan, !args.imatrix.empty(), progress));
  if (args.dry_run) {
    print_plan(plan, model, args.common.json);
    return {};
  }
  ThreadPool pool(args.common.threads);
  auto encoder = make_rtn_encoder(model, plan, args.imatrix.empty() ? nullptr : &stats, pool);
  DriveOptions options{.output = args.output, .split_max_bytes = split.bytes};
  PARE_ASSIGN_OR_RETURN(const DriveResult written, drive(model, plan, *encoder, options, progress));
  PARE_ASSIGN_OR_RETURN(const VerifyResult verified,
                        verify_output(model, plan, written, pool, progress));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_written(plan, model, written, verified, seconds, args.common.json);
  return {};
}

}  // namespace

Run add_quantize(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory or GGUF file")->required();
  app.add_option("-o,--output", args->output, "GGUF file to write");
  add_plan_options(app, args->plan, /*presets=*/true);
  app.add_option("--imatrix", args->imatrix,
                 "Statistics of pare calibrate or llama-imatrix: weigh errors by activations");
  app.add_flag("--dry-run", args->dry_run, "Show types and exact size, write nothing");
  app.add_option("--split-max-size", args->split, "Write several files of at most this size");
  add_common(app, args->common);
  return [args] { return quantize(*args); };
}

}  // namespace pare::cli

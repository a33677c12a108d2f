#include "cli/search_options.h"

#include <fmt/format.h>

#include "cli/backend_loader.h"
#include "cli/console.h"
#include "codecs/codec.h"

namespace pare::cli {

void add_search_options(CLI::App& app, SearchOptions& options) {
  app.add_option("--stats", options.stats,
                 "Statistics of pare calibrate (default: measured on the calibration text)");
  app.add_option("--types", options.candidates, "Types to choose from (default: all that pay)")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_plan_options(app, options.user, /*presets=*/false);
  add_calibration_text(app, options.calibration);
  add_backend_device(app, options.device);
  app.add_option("--refine", options.refine,
                 "Rounds of measuring the plan and solving again (0: estimates only)")
      ->capture_default_str()
      ->check(CLI::Range(0, 10));
  app.add_flag("--no-gptq", options.no_gptq,
               "Round to nearest instead of error-compensated rounding: faster, worse");
}

std::vector<std::string> inputs_of(const SearchOptions& options, const std::string& model) {
  return {model, options.stats, options.user.recipe, options.calibration.text,
          options.calibration.chat};
}

namespace {

Result<uint64_t> budget_bytes(const std::string& fit, const Model& model) {
  Budget budget;
  if (!parse_budget(fit, &budget)) {
    return invalid_argument("--fit: \"{}\" is not a size (90MB, 4.5GB, 85MiB, 120000000, 4.5bpw)",
                            fit);
  }
  if (budget.bytes > 0) return budget.bytes;
  double weights = 0.0;
  for (const TensorInfo& t : model.tensors->tensors()) {
    weights += static_cast<double>(t.shape.elements());
  }
  return static_cast<uint64_t>(weights * budget.bits_per_weight / 8.0);
}

}  // namespace

Result<SearchTask> search_task(const SearchOptions& options, const Model& model) {
  SearchTask task;
  PARE_ASSIGN_OR_RETURN(task.budget, budget_bytes(options.fit, model));
  ProbeOptions& probe = task.probe;
  probe = {.codecs = default_candidates(), .forced = {}, .gptq = !options.no_gptq};
  if (!options.candidates.empty()) {
    probe.codecs.clear();
    for (const std::string& name : options.candidates) {
      const Codec* found = find_codec(name);
      if (found == nullptr || found->encode_row == nullptr || found->gguf_type < 0) {
        return invalid_argument("--types: \"{}\" is not a type that can be written", name);
      }
      probe.codecs.push_back(found->id);
    }
  }
  PARE_ASSIGN_OR_RETURN(probe.forced, user_choices(options.user, model));
  PARE_ASSIGN_OR_RETURN(const auto table, list_candidates(model, probe));
  PARE_RETURN_IF_ERROR(solve_plan(model, table, task.budget, {}).status());
  return task;
}

Result<SearchOutcome> search_plan(const SearchOptions& options, const SearchTask& task,
                                  std::shared_ptr<const Model> model, TokenWindows windows,
                                  std::string description, Backend& backend, ThreadPool& pool,
                                  Progress& progress) {
  SearchOutcome out;
  out.windows = std::move(windows);
  out.description = std::move(description);
  if (options.stats.empty()) {
    PARE_ASSIGN_OR_RETURN(out.stats, backend.calibrate(model, out.windows, true, pool, progress));
    out.stats.dataset = out.description;
  } else {
    PARE_ASSIGN_OR_RETURN(out.stats, read_stats(options.stats, *model));
  }
  PARE_ASSIGN_OR_RETURN(out.table, probe_candidates(*model, out.stats, task.probe, pool, progress));
  PARE_ASSIGN_OR_RETURN(out.plan, solve_plan(*model, out.table, task.budget, {}));
  if (options.refine > 0) {
    PARE_ASSIGN_OR_RETURN(
        out.plan,
        backend.refine(model, out.plan, out.table, out.stats, out.windows,
                       {.rounds = options.refine, .scratch = options.scratch}, pool, progress));
  }
  return out;
}

}  // namespace pare::cli

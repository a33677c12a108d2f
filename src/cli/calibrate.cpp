#include <fmt/format.h>

#include "cli/backend_loader.h"
#include "cli/outputs.h"
#include "cli/text_input.h"
#include "cli/verb.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  CalibrationText text;
  std::string model, output, device = "auto";
  bool no_gradients = false;
};

Status calibrate(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const auto start = std::chrono::steady_clock::now();
  PARE_RETURN_IF_ERROR(check_output(args.output, {args.model, args.text.text, args.text.chat}));
  ThreadPool pool(args.common.threads);
  PARE_ASSIGN_OR_RETURN(Model opened, open_model(args.model));
  const auto model = std::make_shared<const Model>(std::move(opened));
  PARE_ASSIGN_OR_RETURN(
      Backend* const backend,
      load_backend(args.device, {.model = &model->desc, .tokens = args.text.tokens()},
                   args.common.quiet));
  std::string description;
  PARE_ASSIGN_OR_RETURN(
      const TokenWindows windows,
      calibration_windows(args.text, model, *backend, pool, progress, &description));
  PARE_ASSIGN_OR_RETURN(CalibrationStats stats,
                        backend->calibrate(model, windows, !args.no_gradients, pool, progress));
  stats.dataset = description;
  PARE_RETURN_IF_ERROR(write_stats(args.output, stats));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto tokens = static_cast<uint64_t>(stats.chunks) * stats.chunk_size;
  if (args.common.json) {
    print_json({{"output", args.output},
                {"dataset", stats.dataset},
                {"chunks", stats.chunks},
                {"tokens", tokens},
                {"tensors", stats.tensors.size()},
                {"gradients", !args.no_gradients},
                {"seconds", seconds},
                {"peak_memory_bytes", peak_memory()}});
  } else {
    fmt::print("wrote {}: {} tensors, {} tokens ({}), {} and {} of memory\n", args.output,
               stats.tensors.size(), tokens, stats.dataset, format_seconds(seconds),
               format_bytes(peak_memory()));
  }
  return {};
}

}  // namespace

Run add_calibrate(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory or GGUF file")->required();
  app.add_option("-o,--output", args->output, "Statistics file to write (GGUF imatrix)")
      ->required();
  add_calibration_text(app, args->text);
  add_backend_device(app, args->device);
  app.add_flag("--no-gradients", args->no_gradients,
               "Input statistics only: half the time, but types of different tensors cannot be "
               "weighed against each other well");
  add_common(app, args->common);
  return [args] { return calibrate(*args); };
}

}  // namespace pare::cli

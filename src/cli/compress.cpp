#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/file.h"
#include "cli/backend_loader.h"
#include "cli/device.h"
#include "cli/outputs.h"
#include "cli/plan_report.h"
#include "cli/search_options.h"
#include "cli/verb.h"
#include "codecs/codec.h"
#include "compress/verify.h"
#include "model/exec_native/native_executor.h"
#include "planner/presets.h"
#include "report/report.h"
#include "serve/generator.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  SearchOptions search;
  std::string model, output, plan, report, eval_text, split;
  std::string prompt = "The meaning of life is";
  int64_t eval_chunks = 8;
  double max_kl = 0.0;
  bool no_compare = false;
};

// Tokens of the line of text that each model writes.
constexpr int64_t kSampleTokens = 32;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One compression job, step by step; each step leaves what the next needs.
class Job {
 public:
  explicit Job(const Args& args)
      : args_(args), progress_(args.common.quiet), pool_(args.common.threads) {}

  Status run() {
    const auto start = std::chrono::steady_clock::now();
    PARE_RETURN_IF_ERROR(open());
    PARE_RETURN_IF_ERROR(make_plan());
    PARE_RETURN_IF_ERROR(write());
    const double seconds = seconds_since(start);
    const uint64_t memory = peak_memory();
    PARE_RETURN_IF_ERROR(measure(seconds, memory));
    return finish();
  }

 private:
  Status open() {
    if (!args_.split.empty()) {
      Budget split;
      if (!parse_budget(args_.split, &split) || split.bytes == 0) {
        return invalid_argument("--split-max-size: \"{}\" is not a size", args_.split);
      }
      split_bytes_ = split.bytes;
    }
    std::vector<std::string> inputs = inputs_of(args_.search, args_.model);
    inputs.insert(inputs.end(), {args_.plan, args_.eval_text});
    PARE_RETURN_IF_ERROR(check_output(args_.output, inputs));
    inputs.push_back(args_.output);
    PARE_RETURN_IF_ERROR(check_output(args_.report, inputs));
    PARE_ASSIGN_OR_RETURN(Model opened, open_model(args_.model));
    model_ = std::make_shared<const Model>(std::move(opened));
    PARE_ASSIGN_OR_RETURN(backend_, load_backend(args_.search.device,
                                                 {.model = &model_->desc,
                                                  .tokens = args_.search.calibration.tokens()},
                                                 args_.common.quiet));
    return {};
  }

  Status make_plan() {
    if (args_.plan.empty() && args_.search.fit.empty()) {
      return invalid_argument("--fit SIZE or --plan FILE is needed");
    }
    SearchTask task;
    if (args_.plan.empty()) {
      PARE_ASSIGN_OR_RETURN(task, search_task(args_.search, *model_));
    }
    // Held-out windows are put aside before anything is measured.
    CalibrationText text = args_.search.calibration;
    if (args_.eval_text.empty()) text.chunks += args_.eval_chunks;
    std::string description;
    PARE_ASSIGN_OR_RETURN(TokenWindows windows, calibration_windows(text, model_, *backend_, pool_,
                                                                    progress_, &description));
    if (args_.eval_text.empty()) {
      hold_out(windows, description);
    } else {
      PARE_RETURN_IF_ERROR(held_out_text());
    }
    if (!args_.plan.empty()) return read_plan(std::move(windows), std::move(description));
    SearchOptions search = args_.search;
    search.scratch = args_.output + ".scratch.gguf";
    PARE_ASSIGN_OR_RETURN(found_, search_plan(search, task, model_, std::move(windows),
                                              std::move(description), *backend_, pool_, progress_));
    return {};
  }

  // Every k-th window is for judging, the others are for calibration.
  void hold_out(TokenWindows& windows, const std::string& description) {
    const size_t judged = std::min(static_cast<size_t>(args_.eval_chunks), windows.size() / 2);
    TokenWindows kept;
    for (size_t i = 0; i < windows.size(); ++i) {
      const bool judge =
          judged > 0 && i * judged / windows.size() != (i + 1) * judged / windows.size();
      (judge ? judged_ : kept).push_back(std::move(windows[i]));
    }
    windows = std::move(kept);
    evaluation_ = fmt::format("{} windows held out from: {}", judged_.size(), description);
  }

  Status held_out_text() {
    PARE_ASSIGN_OR_RETURN(
        judged_, evaluation_windows(args_.eval_text, *model_, args_.search.calibration.context,
                                    args_.eval_chunks, progress_));
    evaluation_ = fmt::format("{} windows of {}", judged_.size(), args_.eval_text);
    return {};
  }

  Status read_plan(TokenWindows windows, std::string description) {
    PARE_ASSIGN_OR_RETURN(const std::string text, read_text(args_.plan));
    PARE_ASSIGN_OR_RETURN(found_.plan, plan_from_json(text, args_.plan));
    found_.windows = std::move(windows);
    found_.description = std::move(description);
    if (!args_.search.stats.empty()) {
      PARE_ASSIGN_OR_RETURN(found_.stats, read_stats(args_.search.stats, *model_));
    } else {
      PARE_ASSIGN_OR_RETURN(found_.stats,
                            backend_->calibrate(model_, found_.windows, true, pool_, progress_));
    }
    return {};
  }

  Status write() {
    Plan& plan = found_.plan;
    plan.command = command_line();
    PARE_ASSIGN_OR_RETURN(
        const auto encoder,
        backend_->make_encoder(model_, plan, found_.stats, found_.windows, pool_, progress_));
    PARE_ASSIGN_OR_RETURN(
        written_, drive(*model_, plan, *encoder,
                        {.output = args_.output, .split_max_bytes = split_bytes_}, progress_));
    PARE_ASSIGN_OR_RETURN(verified_, verify_output(*model_, plan, written_, pool_, progress_));
    if (plan.budget_bytes > 0 && written_.file_bytes > plan.budget_bytes) {
      return broken_promise("{}: {} bytes, {} promised", args_.output, written_.file_bytes,
                            plan.budget_bytes);
    }
    return {};
  }

  Status measure(double seconds, uint64_t memory) {
    PARE_ASSIGN_OR_RETURN(const auto native, NativeModel::load(model_));
    PARE_ASSIGN_OR_RETURN(original_, make_executor(native));
    ReportRow row{.label = "original",
                  .file = args_.model,
                  .bytes = source_bytes(),
                  .bits_per_weight = bits_per_weight(source_bytes())};
    PARE_RETURN_IF_ERROR(measure_row(native, *original_, nullptr, &row));
    report_.rows.push_back(std::move(row));
    if (!args_.no_compare) PARE_RETURN_IF_ERROR(measure_preset());
    row = {.label = "pare, " + found_.plan.label,
           .file = args_.output,
           .bytes = written_.file_bytes,
           .bits_per_weight = bits_per_weight(written_.file_bytes),
           .seconds = seconds,
           .peak_memory = memory};
    PARE_RETURN_IF_ERROR(measure_file(args_.output, &row));
    report_.rows.push_back(std::move(row));
    return {};
  }

  // The largest preset that fits the same budget, made with the same statistics.
  Status measure_preset() {
    const uint64_t most = std::max(found_.plan.budget_bytes, written_.file_bytes);
    std::optional<Plan> best;
    for (const Preset& preset : all_presets()) {
      PlanOptions options;
      options.type = preset.name;
      auto plan = preset_plan(*model_, options, /*has_imatrix=*/true, Progress::silent());
      if (!plan.ok() || plan->file_bytes > most) continue;
      if (!best || plan->file_bytes > best->file_bytes) best = std::move(*plan);
    }
    if (!best) {
      progress_.note("no preset is as small as this: nothing to compare with");
      return {};
    }
    const auto start = std::chrono::steady_clock::now();
    const std::string path = args_.output + ".preset.gguf";
    auto encoder = make_rtn_encoder(*model_, *best, &found_.stats, pool_);
    PARE_ASSIGN_OR_RETURN(const DriveResult made,
                          drive(*model_, *best, *encoder, {.output = path}, progress_));
    ReportRow row{.label = "preset " + best->label,
                  .file = "",
                  .bytes = made.file_bytes,
                  .bits_per_weight = bits_per_weight(made.file_bytes),
                  .seconds = seconds_since(start),
                  .peak_memory = 0};
    const Status status = measure_file(path, &row);
    std::error_code error;
    std::filesystem::remove(path, error);
    PARE_RETURN_IF_ERROR(status);
    report_.rows.push_back(std::move(row));
    return {};
  }

  Status measure_file(const std::string& path, ReportRow* row) {
    PARE_ASSIGN_OR_RETURN(Model opened, open_model(written_path(path), {.tokenizer = false}));
    PARE_ASSIGN_OR_RETURN(const auto native,
                          NativeModel::load(std::make_shared<const Model>(std::move(opened))));
    PARE_ASSIGN_OR_RETURN(const auto executor, make_executor(native));
    return measure_row(native, *executor, original_.get(), row);
  }

  // On the device that the model was run on, if the engine can.
  Result<std::unique_ptr<Executor>> make_executor(std::shared_ptr<const NativeModel> model) {
    auto device = load_on_device(model, {.device = args_.search.device},
                                 args_.search.calibration.context, CodecId::kF32, true);
    if (!device.ok()) {
      progress_.note(fmt::format("judged by the CPU: {}", device.status().message()));
    }
    return make_native_executor(std::move(model), pool_, CodecId::kF32,
                                device.ok() ? std::move(*device) : nullptr);
  }

  std::string written_path(const std::string& path) const {
    return path == args_.output ? written_.files.front() : path;
  }

  // What the engine makes of the packed weights: divergence, and a line of text.
  Status measure_row(const std::shared_ptr<const NativeModel>& model, Executor& executor,
                     Executor* baseline, ReportRow* row) {
    if (!judged_.empty()) {
      PARE_ASSIGN_OR_RETURN(row->eval, evaluate(executor, baseline, judged_, pool_, progress_));
      row->measured = true;
    }
    if (args_.prompt.empty()) return {};
    PARE_ASSIGN_OR_RETURN(const auto tokenizer, model_tokenizer(*model_));
    PARE_ASSIGN_OR_RETURN(const auto prompt, tokenizer->encode(args_.prompt));
    const auto context = static_cast<int64_t>(prompt.size()) + kSampleTokens;
    PARE_ASSIGN_OR_RETURN(auto session, Session::create(model, pool_, {.context = context}));
    PARE_ASSIGN_OR_RETURN(const auto generator, Generator::create(std::move(session), tokenizer));
    PARE_ASSIGN_OR_RETURN(const Generated written,
                          generator->generate(prompt, {.sampler = {.temperature = 0.0f},
                                                       .max_tokens = kSampleTokens}));
    row->sample = written.text;
    return {};
  }

  Status finish() {
    fill_report();
    if (!args_.report.empty()) {
      PARE_RETURN_IF_ERROR(write_text_atomically(args_.report, html_report(report_)));
    }
    if (args_.common.json) {
      fmt::print("{}\n", json_report(report_));
    } else {
      fmt::print("{}", text_report(report_));
      if (!args_.report.empty()) fmt::print("report: {}\n", args_.report);
    }
    const EvalResult& ours = report_.rows.back().eval;
    if (args_.max_kl > 0.0 && ours.compared && ours.mean_kl.value > args_.max_kl) {
      return broken_promise("mean KL {:.5f}, at most {:.5f} was asked for", ours.mean_kl.value,
                            args_.max_kl);
    }
    return {};
  }

  void fill_report() {
    const Plan& plan = found_.plan;
    report_.model = args_.model;
    report_.arch = model_->desc.arch;
    report_.command = plan.command;
    report_.version = PARE_VERSION;
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof(date), "%Y-%m-%d %H:%M", std::localtime(&now));
    report_.date = date;
    report_.calibration = fmt::format("{} windows of {} tokens: {}", found_.windows.size(),
                                      args_.search.calibration.context, found_.description);
    report_.evaluation = evaluation_;
    report_.prompt = args_.prompt;
    report_.budget_bytes = plan.budget_bytes;
    report_.proof.push_back(
        fmt::format("verified: {} reopened, {} tensors, every byte compared with what was meant",
                    written_.files.front(), plan.tensors.size()));
    if (plan.budget_bytes > 0) {
      report_.proof.push_back(fmt::format("size: {} of {} bytes ({:.2f} %)", written_.file_bytes,
                                          plan.budget_bytes,
                                          100.0 * static_cast<double>(written_.file_bytes) /
                                              static_cast<double>(plan.budget_bytes)));
    }
    const auto source = model_->tensors->tensors();
    const auto planned = planned_tensors(plan, *model_);
    const auto costs =
        found_.table.empty() ? std::vector<double>(planned.size()) : plan_costs(plan, found_.table);
    for (size_t i = 0; i < planned.size(); ++i) {
      const int32_t d = model_->desc.find(planned[i].name);
      ReportTensor t;
      t.name = planned[i].name;
      if (d >= 0) {
        t.role = role_name(model_->desc.tensors[static_cast<size_t>(d)].role);
        t.block = model_->desc.tensors[static_cast<size_t>(d)].block;
      }
      t.shape = planned[i].shape.to_string();
      t.from = codec(source[i].codec).name;
      t.to = codec(planned[i].codec).name;
      t.method = method_name(plan.tensors[i].method);
      t.why = plan.tensors[i].why;
      t.bytes = planned[i].bytes;
      t.bits_per_weight = 8.0 * static_cast<double>(planned[i].bytes) /
                          static_cast<double>(planned[i].shape.elements());
      t.relative_rms = verified_.tensors[i].relative_rms;
      t.expected_kl = costs[i];
      report_.tensors.push_back(std::move(t));
    }
  }

  uint64_t source_bytes() const {
    uint64_t bytes = 0;
    for (const TensorInfo& t : model_->tensors->tensors()) bytes += t.bytes;
    return bytes;
  }
  double bits_per_weight(uint64_t bytes) const {
    double weights = 0.0;
    for (const TensorInfo& t : model_->tensors->tensors()) {
      weights += static_cast<double>(t.shape.elements());
    }
    return 8.0 * static_cast<double>(bytes) / weights;
  }

  const Args& args_;
  TerminalProgress progress_;
  ThreadPool pool_;
  uint64_t split_bytes_ = 0;
  std::shared_ptr<const Model> model_;
  Backend* backend_ = nullptr;
  SearchOutcome found_;
  TokenWindows judged_;
  std::string evaluation_;
  DriveResult written_;
  VerifyResult verified_;
  std::unique_ptr<Executor> original_;
  Report report_;
};

}  // namespace

Run add_compress(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory or GGUF file")->required();
  app.add_option("-o,--output", args->output, "GGUF file to write")->required();
  auto* fit = app.add_option("--fit", args->search.fit,
                             "Size of the whole file: 90MB, 4.5GB, 85MiB, bytes, or 4.5bpw");
  app.add_option("--plan", args->plan, "Carry out this plan of pare plan")->excludes(fit);
  add_search_options(app, args->search);
  app.add_option("--report", args->report, "HTML report to write");
  app.add_option("--eval-text", args->eval_text,
                 "Text to judge on (default: windows held out from calibration)");
  app.add_option("--eval-chunks", args->eval_chunks, "Windows to judge on (0: do not)")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  app.add_option("--max-kl", args->max_kl,
                 "Fail (exit code 3) if the mean KL divergence is larger than this");
  app.add_option("--prompt", args->prompt, "Of the line of text that each model writes")
      ->capture_default_str();
  app.add_flag("--no-compare", args->no_compare,
               "Do not measure the best preset of the same size beside it");
  app.add_option("--split-max-size", args->split, "Write several files of at most this size");
  add_common(app, args->common);
  return [args] { return Job(*args).run(); };
}

}  // namespace pare::cli

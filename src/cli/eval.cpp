#include <fmt/format.h>

#include <set>

#include "cli/backend_loader.h"
#include "cli/device.h"
#include "cli/eval_report.h"
#include "cli/text_input.h"
#include "cli/verb.h"
#include "codecs/codec.h"
#include "model/exec_native/native_executor.h"

namespace pare::cli {
namespace {

struct Args {
  Common common;
  DeviceChoice device;
  std::string model, baseline, text, executor = "native", kv = "F32";
  int64_t context = 512, chunks = 0;
};

// Packed weights as the native engine runs them, or the same weights in float32 on libtorch.
Result<std::unique_ptr<Executor>> make_executor(const Args& args, Model opened, ThreadPool& pool) {
  auto model = std::make_shared<const Model>(std::move(opened));
  if (args.executor == "torch") {
    if (args.kv != "F32") {
      return invalid_argument("--kv {} is for --executor native; torch keeps F32", args.kv);
    }
    if (args.device.gpu_layers >= 0) {
      return invalid_argument("--gpu-layers is for --executor native; torch runs whole models");
    }
    PARE_ASSIGN_OR_RETURN(
        Backend* const backend,
        load_backend(args.device.device,
                     {.model = &model->desc, .tokens = args.context, .calibrates = false},
                     args.common.quiet));
    return backend->make_executor(std::move(model), pool);
  }
  const Codec* kv = find_codec(args.kv);
  if (kv == nullptr) return invalid_argument("--kv: \"{}\" is not a type", args.kv);
  PARE_ASSIGN_OR_RETURN(auto native, NativeModel::load(std::move(model)));
  PARE_ASSIGN_OR_RETURN(
      auto device, load_on_device(native, args.device, args.context, kv->id, args.common.quiet));
  return make_native_executor(std::move(native), pool, kv->id, std::move(device));
}

// It need not have a tokenizer.
Result<Model> open_baseline(const std::string& path) {
  Result<Model> whole = open_model(path);
  return whole.ok() ? std::move(whole) : open_model(path, {.tokenizer = false});
}

// Both models are given the same numbers, which must mean the same to both.
Status check_same_tokens(const TokenWindows& windows, const Tokenizer& tokenizer,
                         const Model& baseline) {
  const auto other = Tokenizer::from_gguf(baseline.metadata);
  if (!other.ok()) return {};
  std::set<int32_t> seen;
  for (const std::vector<int32_t>& window : windows) seen.insert(window.begin(), window.end());
  for (const int32_t id : seen) {
    if (tokenizer.is_control(id) || id >= (*other)->vocabulary()) continue;
    const auto ours = tokenizer.token_to_piece(id), theirs = (*other)->token_to_piece(id);
    if (ours != theirs) {
      return invalid_argument("{}: token {} is \"{}\", expected \"{}\" as in the model",
                              baseline.path, id, printable(std::string(theirs)),
                              printable(std::string(ours)));
    }
  }
  return {};
}

Status run_eval(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const auto start = std::chrono::steady_clock::now();
  ThreadPool pool(args.common.threads);
  PARE_ASSIGN_OR_RETURN(Model opened, open_model(args.model));
  PARE_ASSIGN_OR_RETURN(const TokenWindows windows,
                        evaluation_windows(args.text, opened, args.context, args.chunks, progress));
  PARE_ASSIGN_OR_RETURN(const auto tokenizer, model_tokenizer(opened));
  PARE_ASSIGN_OR_RETURN(const auto executor, make_executor(args, std::move(opened), pool));
  std::unique_ptr<Executor> baseline;
  if (!args.baseline.empty()) {
    PARE_ASSIGN_OR_RETURN(Model other, open_baseline(args.baseline));
    PARE_RETURN_IF_ERROR(check_same_tokens(windows, *tokenizer, other));
    PARE_ASSIGN_OR_RETURN(baseline, make_executor(args, std::move(other), pool));
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
    json["executor"] = args.executor;
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
  app.add_option("--chunks", args->chunks, "Windows to use, at most (default, and 0: all)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31));
  app.add_option("--executor", args->executor,
                 "native: packed weights, activations rounded as the engine rounds them; torch: "
                 "the weights alone, in float32")
      ->capture_default_str()
      ->check(CLI::IsMember({"native", "torch"}));
  app.add_option("--kv", args->kv,
                 "Type of the native engine's keys and values: F32, F16, Q8_0, Q4_0")
      ->capture_default_str();
  add_device_options(app, args->device);
  add_common(app, args->common);
  return [args] { return run_eval(*args); };
}

}  // namespace pare::cli

#include <fmt/format.h>

#include <chrono>
#include <map>

#include "cli/any_model.h"
#include "cli/plan_options.h"
#include "cli/plan_report.h"
#include "cli/verb.h"
#include "codecs/codec.h"
#include "compress/checkpoint.h"
#include "compress/driver.h"
#include "compress/verify.h"

namespace pare::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Args {
  Common common;
  std::string model, output, type, shard;
};

bool is_float_type(CodecId id) {
  return id == CodecId::kF32 || id == CodecId::kF16 || id == CodecId::kBF16;
}

// What was asked for; else the float type that most of the weights have, F16 for quantized ones.
Result<CodecId> target_type(const Args& args, const Model& model) {
  if (!args.type.empty()) {
    const Codec* found = find_codec(args.type);
    if (found != nullptr && is_float_type(found->id)) return found->id;
    return invalid_argument(
        "--type: \"{}\" is not one of F32, F16, BF16 (pare quantize writes the others)", args.type);
  }
  std::map<CodecId, uint64_t> bytes;
  for (const TensorInfo& t : model.tensors->tensors()) bytes[t.codec] += t.bytes;
  CodecId most = CodecId::kF16;
  for (const auto& [id, count] : bytes) {
    if (count > bytes[most]) most = id;
  }
  return is_float_type(most) ? most : CodecId::kF16;
}

// To GGUF even a model whose architecture is unknown can be converted: names stay as they are.
Result<Model> open_source(const Args& args, bool to_gguf, Progress& progress) {
  auto model = open_model(args.model);
  if (model.ok() || !to_gguf) return model;
  auto any = open_any(args.model);
  if (!any.ok() || any->form != "gguf") return model.status();
  progress.note(fmt::format("note: converted without understanding it: {}", any->problem));
  Model plain;
  plain.path = any->path;
  plain.form = any->form;
  plain.metadata = std::move(any->metadata);
  plain.tensors = std::move(any->tensors);
  return plain;
}

Status to_gguf(const Args& args, const Model& model, CodecId type, Progress& progress) {
  const auto start = Clock::now();
  ThreadPool pool(args.common.threads);
  Budget split;
  if (!args.shard.empty() && (!parse_budget(args.shard, &split) || split.bytes == 0)) {
    return invalid_argument("--max-shard-size: \"{}\" is not a size", args.shard);
  }
  PARE_ASSIGN_OR_RETURN(
      Plan plan, preset_plan(model, {.type = codec(type).name}, /*has_imatrix=*/false, progress));
  // Presets leave some tensors as they are; here all that is quantized becomes floats.
  for (TensorPlan& t : plan.tensors) {
    if (codec(t.codec).block_len > 1) t = {t.name, type, Method::kRtn, "converted"};
  }
  PARE_ASSIGN_OR_RETURN(plan.file_bytes, plan_file_bytes(plan, model));
  const auto encoder = make_rtn_encoder(model, plan, nullptr, pool);
  const DriveOptions options{.output = args.output, .split_max_bytes = split.bytes};
  PARE_ASSIGN_OR_RETURN(const DriveResult written, drive(model, plan, *encoder, options, progress));
  PARE_ASSIGN_OR_RETURN(const VerifyResult verified,
                        verify_output(model, plan, written, pool, progress));
  const std::chrono::duration<double> seconds = Clock::now() - start;
  print_written(plan, model, written, verified, seconds.count(), args.common.json);
  return {};
}

Status to_directory(const Args& args, const Model& model, CodecId type, Progress& progress) {
  const auto start = Clock::now();
  ThreadPool pool(args.common.threads);
  CheckpointOptions options{.output = args.output, .dtype = type};
  if (!args.shard.empty()) {
    Budget shard;
    if (!parse_budget(args.shard, &shard) || shard.bytes == 0) {
      return invalid_argument("--max-shard-size: \"{}\" is not a size", args.shard);
    }
    options.max_shard_bytes = shard.bytes;
  }
  PARE_ASSIGN_OR_RETURN(const CheckpointResult written,
                        write_checkpoint(model, options, pool, progress));
  const std::chrono::duration<double> seconds = Clock::now() - start;
  if (args.common.json) {
    print_json({{"files", written.files},
                {"type", codec(type).name},
                {"bytes", written.weight_bytes},
                {"tensors", written.tensors},
                {"relative_rms_error", written.relative_rms},
                {"seconds", seconds.count()},
                {"peak_memory_bytes", peak_memory()}});
    return {};
  }
  for (const std::string& file : written.files) fmt::print("wrote {}\n", file);
  fmt::print(
      "{}: {} tensors, {} bytes ({}), relative error {:.2g}, {} and {} of memory\n"
      "verified: reopened, every tensor compared\n",
      codec(type).name, written.tensors, written.weight_bytes, format_bytes(written.weight_bytes),
      written.relative_rms, format_seconds(seconds.count()), format_bytes(peak_memory()));
  return {};
}

Status convert(const Args& args) {
  TerminalProgress progress(args.common.quiet);
  const bool gguf = args.output.ends_with(".gguf");
  PARE_ASSIGN_OR_RETURN(const Model model, open_source(args, gguf, progress));
  PARE_ASSIGN_OR_RETURN(const CodecId type, target_type(args, model));
  return gguf ? to_gguf(args, model, type, progress) : to_directory(args, model, type, progress);
}

}  // namespace

Run add_convert(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("MODEL", args->model, "Hugging Face directory, GGUF file or llama2.c checkpoint")
      ->required();
  app.add_option("-o,--output", args->output,
                 "What to write: a name that ends in .gguf is a GGUF file, any other a Hugging "
                 "Face directory")
      ->required();
  app.add_option("--type", args->type,
                 "F32, F16 or BF16 (default: the source's, F16 for quantized ones)");
  app.add_option("--max-shard-size", args->shard,
                 "Write several files of at most this size (default: 5GB for directories, one "
                 "file for GGUF)");
  add_common(app, args->common);
  return [args] { return convert(*args); };
}

}  // namespace pare::cli

#include <fmt/format.h>

#include <algorithm>

#include "base/rng.h"
#include "cli/native_session.h"
#include "cli/verb.h"
#include "kernels/read_bandwidth.h"

namespace pare::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Args {
  Common common;
  NativeOptions native;
  std::string model, versus;
  int64_t prefill = 512, decode = 128, depth = 0;
  int repeat = 5;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0.0 : 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

// One model and what was measured of it.
struct Subject {
  std::string path;
  std::unique_ptr<Session> session;
  std::shared_ptr<const DeviceModel> device;  // null: the CPU
  std::vector<int32_t> tokens;
  double load_seconds = 0.0, first_token_seconds = 0.0;
  uint64_t peak_memory = 0;
  std::vector<double> prefill_seconds, decode_seconds;  // one of each run

  double prefill_speed(const Args& a) const {
    return static_cast<double>(a.prefill) / median(prefill_seconds);
  }
  double decode_speed(const Args& a) const {
    return static_cast<double>(a.decode) / median(decode_seconds);
  }
  // Weights once for each token, and the cache as far as it is filled in the middle of the run.
  double bytes_per_second(const Args& a) const {
    const auto weights = static_cast<double>(session->model().bytes_per_token());
    const auto positions = static_cast<double>(a.depth) + static_cast<double>(a.decode) / 2.0;
    const auto cache = positions * static_cast<double>(session->cache_bytes_per_position());
    return (weights + cache) * decode_speed(a);
  }
};

std::span<const int32_t> first(const std::vector<int32_t>& tokens, int64_t count) {
  return std::span(tokens).first(static_cast<size_t>(count));
}

// As Session::forward does, in pieces, between which Ctrl-C ends it.
Status forward(Session& session, std::span<const int32_t> tokens, std::span<float> logits) {
  const auto piece = static_cast<size_t>(session.piece());
  for (; tokens.size() > piece; tokens = tokens.subspan(piece)) {
    PARE_RETURN_IF_ERROR(session.forward(tokens.first(piece), {}));
    if (stop_was_requested()) return cancelled("stopped");
  }
  return session.forward(tokens, logits);
}

Result<Subject> load(const std::string& path, const Args& args, ThreadPool& pool) {
  Subject subject{.path = path};
  const auto start = Clock::now();
  PARE_ASSIGN_OR_RETURN(const auto model, load_native(path));
  NativeOptions native = args.native;
  if (native.context == 0) {
    native.context = args.depth + std::max(args.prefill, args.decode);
    native.context =
        std::min(std::max<int64_t>(1, native.context), model->desc().hparams.n_context);
  }
  const int64_t most = args.depth + std::max(args.prefill, args.decode);
  if (most > native.context) {
    return invalid_argument(
        "{}: --depth {} and then --prefill {} or --decode {} need a context of {}, there is one of "
        "{}",
        path, args.depth, args.prefill, args.decode, most, native.context);
  }
  PARE_ASSIGN_OR_RETURN(MadeSession made, make_session(model, native, pool, args.common.quiet));
  subject.session = std::move(made.session);
  subject.device = std::move(made.device);
  subject.load_seconds = seconds_since(start);
  Rng rng(1);
  for (int64_t i = 0; i < most; ++i) {
    subject.tokens.push_back(
        static_cast<int32_t>(rng.below(static_cast<uint64_t>(model->vocabulary()))));
  }
  // The first run reads the file, and is what somebody waits for who starts the program.
  std::vector<float> logits(static_cast<size_t>(model->vocabulary()));
  PARE_RETURN_IF_ERROR(
      forward(*subject.session, first(subject.tokens, std::max<int64_t>(1, args.prefill)), logits));
  subject.first_token_seconds = seconds_since(start);
  subject.peak_memory = peak_memory();
  return subject;
}

Status run_once(Subject* subject, const Args& args) {
  Session& session = *subject->session;
  std::vector<float> logits(static_cast<size_t>(session.model().vocabulary()));
  session.rewind(0);
  PARE_RETURN_IF_ERROR(forward(session, first(subject->tokens, args.depth), {}));
  auto start = Clock::now();
  if (args.prefill > 0) {
    PARE_RETURN_IF_ERROR(forward(session, first(subject->tokens, args.prefill), logits));
    subject->prefill_seconds.push_back(seconds_since(start));
  }
  session.rewind(args.depth);
  start = Clock::now();
  for (int64_t i = 0; i < args.decode; ++i) {
    if (stop_was_requested()) return cancelled("stopped");
    PARE_RETURN_IF_ERROR(session.forward(first(subject->tokens, 1), logits));
  }
  if (args.decode > 0) subject->decode_seconds.push_back(seconds_since(start));
  return {};
}

nlohmann::ordered_json to_json(const Subject& s, const Args& args) {
  nlohmann::ordered_json json = {
      {"model", s.path},
      {"device", describe_device(s.device.get(), s.session->model())},
      {"threads", args.common.threads == 0 ? available_processors() : args.common.threads},
      {"weight_bytes_per_token", s.session->model().bytes_per_token()},
      {"cache_bytes_per_token", s.session->cache_bytes_per_position()},
      {"load_seconds", s.load_seconds},
      {"first_token_seconds", s.first_token_seconds},
      {"peak_memory_bytes", s.peak_memory},
      {"depth", args.depth},
      {"prefill_tokens", args.prefill},
      {"decode_tokens", args.decode}};
  if (args.prefill > 0) {
    json["prefill_tokens_per_second"] = s.prefill_speed(args);
    json["prefill_seconds"] = s.prefill_seconds;
  }
  if (args.decode > 0) {
    json["decode_tokens_per_second"] = s.decode_speed(args);
    json["decode_bytes_per_second"] = s.bytes_per_second(args);
    json["decode_seconds"] = s.decode_seconds;
  }
  return json;
}

void print_text(const std::vector<Subject>& subjects, const Args& args, double bandwidth) {
  std::vector<std::string> header = {""};
  for (const Subject& s : subjects) header.push_back(s.path);
  if (subjects.size() == 2) header.push_back("ratio");
  Table table(header);
  const auto add = [&](const std::string& name, const auto& value, int decimals) {
    std::vector<std::string> row = {name};
    for (const Subject& s : subjects) row.push_back(fmt::format("{:.{}f}", value(s), decimals));
    if (subjects.size() == 2) {
      row.push_back(fmt::format("{:.3f}", value(subjects[0]) / value(subjects[1])));
    }
    table.add(std::move(row));
  };
  if (args.prefill > 0) {
    add(
        fmt::format("prefill of {}, tokens/s", args.prefill),
        [&](const Subject& s) { return s.prefill_speed(args); }, 1);
  }
  if (args.decode > 0) {
    add(
        fmt::format("decode after {}, tokens/s", args.depth),
        [&](const Subject& s) { return s.decode_speed(args); }, 1);
    add(
        "read in decode, GB/s", [&](const Subject& s) { return s.bytes_per_second(args) / 1e9; },
        2);
    add(
        "of what the memory gives, %",
        [&](const Subject& s) { return 100.0 * s.bytes_per_second(args) / bandwidth; }, 0);
  }
  add(
      "load, s", [](const Subject& s) { return s.load_seconds; }, 3);
  add(
      "load to first token, s", [](const Subject& s) { return s.first_token_seconds; }, 3);
  add(
      "peak memory, MB", [](const Subject& s) { return static_cast<double>(s.peak_memory) / 1e6; },
      1);
  fmt::print("{}", table.to_string());
}

Status bench(const Args& args) {
  if (args.prefill == 0 && args.decode == 0) {
    return invalid_argument("--prefill 0 and --decode 0 leave nothing to measure");
  }
  ThreadPool pool(args.common.threads);
  std::vector<Subject> subjects;
  for (const std::string& path : {args.model, args.versus}) {
    if (path.empty()) continue;
    PARE_ASSIGN_OR_RETURN(Subject subject, load(path, args, pool));
    subjects.push_back(std::move(subject));
  }
  TerminalProgress progress(args.common.quiet);
  const auto runs = static_cast<uint64_t>(args.repeat);
  progress.begin("bench", runs, "runs");
  // By turns, so that a machine that slows down does so for both. The fastest of the readings in
  // between is what the machine can.
  double bandwidth = 0.0;
  const DeviceModel* on_device = subjects[0].device.get();
  if (on_device != nullptr && on_device->first_block() > 0) on_device = nullptr;
  for (uint64_t run = 0; run < runs; ++run) {
    for (Subject& subject : subjects) {
      if (progress.stop_requested()) return cancelled("stopped");
      PARE_RETURN_IF_ERROR(run_once(&subject, args));
    }
    // A GPU's own memory where all of the model is on one.
    if (on_device == nullptr) {
      bandwidth = std::max(bandwidth, read_bandwidth(pool));
    } else {
      PARE_ASSIGN_OR_RETURN(const double copied, on_device->copy_bandwidth());
      bandwidth = std::max(bandwidth, copied);
    }
    progress.advance(run + 1);
  }
  if (!args.common.json) {
    print_text(subjects, args, bandwidth);
    fmt::print(
        "\nmedian of {} runs on {}; {} {:.1f} GB/s\n", args.repeat,
        on_device == nullptr ? fmt::format("{} threads", pool.threads()) : on_device->device().name,
        on_device == nullptr ? "the machine reads" : "a copy there reads and writes",
        bandwidth / 1e9);
    if (args.decode > 0 && subjects[0].bytes_per_second(args) > bandwidth) {
      fmt::print(
          "(faster than memory: what is read stays in caches, or the machine is not steady)\n");
    }
    return {};
  }
  nlohmann::ordered_json json = to_json(subjects[0], args);
  json["machine_bytes_per_second"] = bandwidth;  // a copy's, on a GPU
  if (subjects.size() == 2) json["versus"] = to_json(subjects[1], args);
  print_json(json);
  return {};
}

}  // namespace

Run add_bench(CLI::App& app) {
  auto args = std::make_shared<Args>();
  constexpr int64_t kMost = int64_t{1} << 24;
  app.add_option("MODEL", args->model, "GGUF file or Hugging Face directory")->required();
  app.add_option("--prefill", args->prefill, "Tokens of the prompt that is timed; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kMost));
  app.add_option("--decode", args->decode, "Tokens that are timed one by one; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kMost));
  app.add_option("--depth", args->depth, "Tokens that are there before")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kMost));
  app.add_option("--repeat", args->repeat, "Runs, of which the median is given")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--vs", args->versus, "Another model, measured by turns with this one");
  add_native_options(app, args->native);
  add_common(app, args->common);
  return [args] { return bench(*args); };
}

}  // namespace pare::cli

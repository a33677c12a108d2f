#include "cli/native_session.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "codecs/codec.h"

namespace pare::cli {

void add_native_options(CLI::App& app, NativeOptions& options) {
  app.add_option("--ctx", options.context,
                 "Tokens of context (default: what the model was made for, at most 4096)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31));
  app.add_option("--kv", options.kv, "Type of cached keys and values: F32, F16, Q8_0 or Q4_0")
      ->capture_default_str();
  add_device_options(app, options.device);
}

Result<std::shared_ptr<const NativeModel>> load_native(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(Model model, open_model(path));
  return NativeModel::load(std::make_shared<const Model>(std::move(model)));
}

Result<MadeSession> make_session(std::shared_ptr<const NativeModel> model,
                                 const NativeOptions& options, ThreadPool& pool, bool quiet) {
  const Codec* kv = find_codec(options.kv);
  if (kv == nullptr || !is_kv_form(kv->id)) {
    std::vector<const char*> names;
    for (const CodecId form : kv_forms()) names.push_back(codec(form).name);
    return invalid_argument("--kv: \"{}\" is none of {}", options.kv, fmt::join(names, ", "));
  }
  SessionOptions session{.context = options.context, .kv = kv->id, .device = nullptr};
  if (session.context == 0) {
    session.context = std::min(kDefaultContext, model->desc().hparams.n_context);
  }
  PARE_ASSIGN_OR_RETURN(session.device,
                        load_on_device(model, options.device, session.context, session.kv, quiet));
  MadeSession made{nullptr, session.device};
  auto created = Session::create(std::move(model), pool, session);
  if (created.status().code() == StatusCode::kUnsupported) {
    return invalid_argument("--kv {}: {}", options.kv, created.status().message());
  }
  PARE_ASSIGN_OR_RETURN(made.session, std::move(created));
  return made;
}

}  // namespace pare::cli

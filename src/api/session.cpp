#include "model/exec_native/session.h"

#include <algorithm>

#include "api/model_impl.h"
#include "codecs/codec.h"
#include "serve/sampler.h"

namespace pare::api {

struct Session::Impl {
  explicit Impl(int threads) : pool(threads) {}
  ThreadPool pool;
  std::unique_ptr<pare::Session> session;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

std::unique_ptr<Session> Session::create(const Model& model, const SessionOptions& options,
                                         Error* error) {
  const auto refuse = [error](const Status& status) {
    *error = to_error(status);
    return nullptr;
  };
  const Codec* kv = find_codec(options.kv);
  if (kv == nullptr) return refuse(invalid_argument("there is no type \"{}\"", options.kv));
  if (options.threads < 0 || options.threads > 1024) {
    return refuse(invalid_argument("{} threads", options.threads));
  }
  std::shared_ptr<const NativeModel> native;
  {
    std::lock_guard lock(model.impl_->mutex);
    if (model.impl_->native == nullptr) {
      auto loaded = NativeModel::load(model.impl_->model);
      if (!loaded.ok()) return refuse(loaded.status());
      model.impl_->native = std::move(loaded).value();
    }
    native = model.impl_->native;
  }
  constexpr int64_t kDefaultContext = 4096;
  const int64_t context =
      options.context != 0 ? options.context : std::min(kDefaultContext, model.context());
  auto impl = std::make_unique<Impl>(options.threads);
  auto session =
      pare::Session::create(std::move(native), impl->pool, {.context = context, .kv = kv->id});
  if (!session.ok()) return refuse(session.status());
  impl->session = std::move(session).value();
  *error = {};
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Error Session::forward(const std::vector<int32_t>& ids, std::vector<float>* logits) {
  if (logits == nullptr) return to_error(impl_->session->forward(ids, {}));
  if (ids.empty()) return to_error(invalid_argument("no tokens, so no logits"));
  logits->resize(static_cast<size_t>(impl_->session->model().vocabulary()));
  return to_error(impl_->session->forward(ids, *logits));
}

int64_t Session::length() const { return impl_->session->length(); }
int64_t Session::capacity() const { return impl_->session->capacity(); }
void Session::rewind(int64_t length) { impl_->session->rewind(length); }

struct Sampler::Impl {
  SamplerOptions options;
  pare::Sampler sampler;
};

Sampler::Sampler(const Sampling& o) {
  const SamplerOptions options{.temperature = o.temperature,
                               .top_k = o.top_k,
                               .top_p = o.top_p,
                               .min_p = o.min_p,
                               .repeat_penalty = o.repeat_penalty,
                               .seed = o.seed};
  impl_ = std::make_unique<Impl>(Impl{options, pare::Sampler(options)});
}
Sampler::~Sampler() = default;

Error Sampler::pick(const std::vector<float>& logits, const std::vector<int32_t>& history,
                    int32_t* id) {
  if (const Status status = check_sampler_options(impl_->options); !status.ok()) {
    return to_error(status);
  }
  const auto token = impl_->sampler.pick(logits, history);
  if (token.ok()) *id = *token;
  return to_error(token.status());
}

}  // namespace pare::api

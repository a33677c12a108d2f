#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "pare/pare.h"
#include "pare/pare_c.h"

using pare::api::Error;

struct pare_model {
  std::unique_ptr<pare::api::Model> model;
};
struct pare_session {
  std::unique_ptr<pare::api::Session> session;
};
struct pare_sampler {
  pare::api::Sampler sampler;
};

namespace {

thread_local std::string last_error;

void note(const char* kind, const char* message) noexcept {
  try {
    last_error = std::string(kind) + ": " + message;
  } catch (...) {
    last_error.clear();  // no memory for words
  }
}

// True if something went wrong, which is noted.
bool failed(const Error& error) {
  if (error) note(error.kind.c_str(), error.message.c_str());
  return static_cast<bool>(error);
}

// body(), or `failure` if it throws: callers may know no exceptions.
template <typename T, typename Body>
T guarded(T failure, const Body& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    note("out of memory", "the system has no more");
  } catch (const std::exception& error) {
    note("failed", error.what());
  }
  return failure;
}

template <typename From, typename T>
int64_t copy(const From& from, T* to, size_t capacity) {
  std::copy_n(from.begin(), std::min(from.size(), capacity), to);
  return static_cast<int64_t>(from.size());
}

}  // namespace

extern "C" {

const char* pare_version(void) { return pare::api::version(); }
const char* pare_error(void) { return last_error.c_str(); }

pare_model* pare_model_open(const char* path) {
  return guarded<pare_model*>(nullptr, [&]() -> pare_model* {
    Error error;
    auto model = pare::api::Model::open(path != nullptr ? path : "", &error);
    return failed(error) ? nullptr : new pare_model{std::move(model)};
  });
}
void pare_model_close(pare_model* model) { delete model; }
int64_t pare_model_vocabulary(const pare_model* model) { return model->model->vocabulary(); }
int64_t pare_model_context(const pare_model* model) { return model->model->context(); }
int pare_model_is_end(const pare_model* model, int32_t id) { return model->model->is_end(id); }

int64_t pare_encode(const pare_model* model, const char* text, size_t size, int32_t* ids,
                    size_t capacity) {
  return guarded<int64_t>(-1, [&]() -> int64_t {
    std::vector<int32_t> encoded;
    if (failed(model->model->encode({text, size}, &encoded))) return -1;
    return copy(encoded, ids, capacity);
  });
}

int64_t pare_encode_chat(const pare_model* model, const pare_message* messages, size_t count,
                         int32_t* ids, size_t capacity) {
  return guarded<int64_t>(-1, [&]() -> int64_t {
    std::vector<pare::api::Model::Message> chat;
    for (size_t i = 0; i < count; ++i) chat.push_back({messages[i].role, messages[i].content});
    std::vector<int32_t> encoded;
    if (failed(model->model->encode_chat(chat, &encoded))) return -1;
    return copy(encoded, ids, capacity);
  });
}

int64_t pare_decode(const pare_model* model, const int32_t* ids, size_t count, char* text,
                    size_t capacity) {
  return guarded<int64_t>(-1, [&]() -> int64_t {
    std::string decoded;
    if (failed(model->model->decode({ids, ids + count}, &decoded))) return -1;
    return copy(decoded, text, capacity);
  });
}

pare_session* pare_session_create(const pare_model* model, const pare_session_options* options) {
  return guarded<pare_session*>(nullptr, [&]() -> pare_session* {
    pare::api::SessionOptions o;
    if (options != nullptr) {
      o.context = options->context;
      o.threads = options->threads;
      if (options->kv != nullptr) o.kv = options->kv;
    }
    Error error;
    auto session = pare::api::Session::create(*model->model, o, &error);
    return failed(error) ? nullptr : new pare_session{std::move(session)};
  });
}
void pare_session_destroy(pare_session* session) { delete session; }

int pare_forward(pare_session* session, const int32_t* ids, size_t count, float* logits) {
  return guarded(-1, [&] {
    std::vector<float> scores;
    const std::vector<int32_t> tokens(ids, ids + count);
    if (failed(session->session->forward(tokens, logits == nullptr ? nullptr : &scores))) return -1;
    if (logits != nullptr) std::copy(scores.begin(), scores.end(), logits);
    return 0;
  });
}

int64_t pare_session_length(const pare_session* session) { return session->session->length(); }
int64_t pare_session_capacity(const pare_session* session) { return session->session->capacity(); }
void pare_rewind(pare_session* session, int64_t length) { session->session->rewind(length); }

pare_sampling pare_default_sampling(void) {
  const pare::api::Sampling s;
  return {s.temperature, s.top_k, s.top_p, s.min_p, s.repeat_penalty, s.seed};
}

pare_sampler* pare_sampler_create(const pare_sampling* options) {
  const pare_sampling o = options != nullptr ? *options : pare_default_sampling();
  return guarded<pare_sampler*>(nullptr, [&] {
    return new pare_sampler{pare::api::Sampler({.temperature = o.temperature,
                                                .top_k = o.top_k,
                                                .top_p = o.top_p,
                                                .min_p = o.min_p,
                                                .repeat_penalty = o.repeat_penalty,
                                                .seed = o.seed})};
  });
}
void pare_sampler_destroy(pare_sampler* sampler) { delete sampler; }

int32_t pare_sample(pare_sampler* sampler, const float* logits, size_t vocabulary,
                    const int32_t* history, size_t count) {
  return guarded(int32_t{-1}, [&] {
    int32_t id = -1;
    const std::vector<float> scores(logits, logits + vocabulary);
    return failed(sampler->sampler.pick(scores, {history, history + count}, &id)) ? -1 : id;
  });
}

}  // extern "C"

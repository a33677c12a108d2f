#include "model/exec_native/native_executor.h"

#include "model/exec_native/session.h"

namespace pare {
namespace {

class NativeExecutor final : public Executor {
 public:
  NativeExecutor(std::shared_ptr<const NativeModel> model, ThreadPool& pool, CodecId kv,
                 std::shared_ptr<const DeviceModel> device)
      : model_(std::move(model)), pool_(pool), kv_(kv), device_(std::move(device)) {}

  int64_t vocabulary() const override { return model_->vocabulary(); }
  int64_t width() const override { return model_->width(); }

  Status run(std::span<const int32_t> tokens, int64_t first, std::span<float> hidden) override {
    const auto length = static_cast<int64_t>(tokens.size());
    if (first < 0 || first > length ||
        static_cast<int64_t>(hidden.size()) != (length - first) * width()) {
      return invalid_argument("hidden states of positions {} to {} need {} floats, not {}", first,
                              length, (length - first) * width(), hidden.size());
    }
    if (length == 0) return {};
    PARE_RETURN_IF_ERROR(prepare(length));
    return session_->hidden(tokens, hidden);
  }

  Status project(std::span<const float> hidden, std::span<float> logits) override {
    PARE_RETURN_IF_ERROR(prepare(session_ == nullptr ? 1 : session_->capacity()));
    return session_->project(hidden, logits);
  }

 private:
  // A session for just this length: how LongRoPE turns depends on it.
  Status prepare(int64_t length) {
    if (session_ != nullptr && session_->capacity() == length) {
      session_->rewind(0);
      return {};
    }
    session_.reset();
    PARE_ASSIGN_OR_RETURN(
        session_,
        Session::create(model_, pool_, {.context = length, .kv = kv_, .device = device_}));
    return {};
  }

  std::shared_ptr<const NativeModel> model_;
  ThreadPool& pool_;
  CodecId kv_;
  std::shared_ptr<const DeviceModel> device_;
  std::unique_ptr<Session> session_;
};

}  // namespace

std::unique_ptr<Executor> make_native_executor(std::shared_ptr<const NativeModel> model,
                                               ThreadPool& pool, CodecId kv,
                                               std::shared_ptr<const DeviceModel> device) {
  return std::make_unique<NativeExecutor>(std::move(model), pool, kv, std::move(device));
}

}  // namespace pare

#include "model/exec_native/session.h"

#include <algorithm>
#include <cstring>

#include "model/exec_native/session_rows.h"

namespace pare {
Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const NativeModel> model,
                                                 ThreadPool& pool, const SessionOptions& options) {
  const ModelDesc& desc = model->desc();
  const int64_t most = desc.hparams.n_context;
  const int64_t context = options.context == 0 ? most : options.context;
  if (context < 1 || context > most) {
    return invalid_argument("{}: a context of {} tokens; the model was made for up to {}",
                            model->model().path, context, most);
  }
  std::unique_ptr<Session> session(new Session());
  session->pool_ = &pool;
  session->blocks_here_ = model->program().blocks.size();
  if (options.device != nullptr) {
    session->blocks_here_ = static_cast<size_t>(options.device->first_block());
    PARE_ASSIGN_OR_RETURN(session->device_, options.device->open(context, options.kv));
  }
  std::vector<KvCache::Layer> layers;
  for (size_t b = 0; b < session->blocks_here_; ++b) {
    for (const Step& step : model->program().blocks[b]) {
      const OpAttributes& attr = step.op->attr;
      if (step.layer >= 0) layers.push_back({attr.kv_heads, attr.head_dim, attr.value_dim});
    }
  }
  PARE_ASSIGN_OR_RETURN(session->cache_, KvCache::create(layers, options.kv, context));
  for (const RopeParams& rope : model->program().ropes) {
    const bool beyond =
        rope.scaling == RopeParams::Scaling::kLongRope && context > rope.original_context;
    const float* divisors = model->floats(beyond ? rope.long_factors : rope.factors);
    session->ropes_.emplace_back(rope_frequencies(rope, divisors), rope.attention_factor);
  }
  session->slots_.resize(model->program().slots.size());
  session->epilogue_slots_.resize(model->program().epilogue_slots.size());
  session->model_ = std::move(model);
  return session;
}

void Session::rewind(int64_t length) { length_ = std::clamp<int64_t>(length, 0, length_); }

Status Session::check(std::span<const int32_t> tokens) const {
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model_->vocabulary()) {
      return invalid_argument("token {} is not in the vocabulary of {}", token,
                              model_->vocabulary());
    }
  }
  const auto more = static_cast<int64_t>(tokens.size());
  if (more > capacity() - length_) {
    return invalid_argument("{} tokens after {} do not fit a context of {}", more, length_,
                            capacity());
  }
  return {};
}

Status Session::forward(std::span<const int32_t> tokens, std::span<float> logits) {
  const int64_t count = static_cast<int64_t>(logits.size()) / model_->vocabulary();
  if (count > static_cast<int64_t>(tokens.size()) ||
      count * model_->vocabulary() != static_cast<int64_t>(logits.size())) {
    return invalid_argument("logits of {} tokens cannot fill {} floats", tokens.size(),
                            logits.size());
  }
  if (device_ != nullptr) return run_text(tokens, count, nullptr, logits.data());
  last_hidden_.resize(static_cast<size_t>(count * model_->width()));
  PARE_RETURN_IF_ERROR(hidden(tokens, last_hidden_));
  return project(last_hidden_, logits);
}

Status Session::hidden(std::span<const int32_t> tokens, std::span<float> hidden) {
  const int64_t length = static_cast<int64_t>(tokens.size());
  const int64_t wanted = static_cast<int64_t>(hidden.size()) / model_->width();
  if (wanted > length || wanted * model_->width() != static_cast<int64_t>(hidden.size())) {
    return invalid_argument("hidden states of {} tokens cannot fill {} floats", length,
                            hidden.size());
  }
  return run_text(tokens, wanted, hidden.data(), nullptr);
}

Status Session::run_text(std::span<const int32_t> tokens, int64_t wanted, float* hidden,
                         float* logits) {
  PARE_RETURN_IF_ERROR(check(tokens));
  const auto length = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin < length; begin += piece()) {
    const int64_t count = std::min(piece(), length - begin);
    const int64_t of_piece = std::clamp<int64_t>(wanted - (length - begin - count), 0, count);
    const auto part = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    if (device_ == nullptr) {
      run_piece(part, of_piece, hidden);
    } else {
      PARE_RETURN_IF_ERROR(run_piece_on_device(part, of_piece, hidden, logits));
    }
    if (hidden != nullptr) hidden += of_piece * model_->width();
    if (logits != nullptr) logits += of_piece * model_->vocabulary();
    length_ += count;
  }
  return {};
}

void Session::reserve(int64_t tokens) {
  if (tokens <= reserved_) return;
  for (size_t s = 0; s < slots_.size(); ++s) {
    slots_[s].reserve(static_cast<size_t>(tokens * stride_of(model_->program().slots[s])));
  }
  reserved_ = tokens;
}

Session::Rows Session::run_blocks(std::span<const int32_t> tokens, int64_t wanted) {
  const Program& program = model_->program();
  const auto count = static_cast<int64_t>(tokens.size());
  reserve(count);
  for (RopeTable& rope : ropes_) rope.set(length_, count);
  Rows rows{.tokens = tokens, .count = count, .wanted = wanted};
  rows.slots = &slots_;
  rows.columns = &program.slots;
  run(program.prologue, rows);
  for (size_t b = 0; b < blocks_here_; ++b) {
    rows.last_block = b + 1 == program.blocks.size();
    run(program.blocks[b], rows);
  }
  return rows;
}

void Session::run_piece(std::span<const int32_t> tokens, int64_t wanted, float* hidden) {
  const Rows rows = run_blocks(tokens, wanted);
  const ValuePlace stream{0, 0, model_->width()};
  for (int64_t r = 0; r < wanted; ++r) {
    std::memcpy(hidden + r * model_->width(), rows.at(stream, rows.count - wanted + r),
                static_cast<size_t>(model_->width()) * sizeof(float));
  }
}

Status Session::run_piece_on_device(std::span<const int32_t> tokens, int64_t wanted, float* hidden,
                                    float* logits) {
  DevicePiece piece{.count = static_cast<int64_t>(tokens.size()),
                    .position = length_,
                    .wanted = wanted,
                    .hidden = wanted == 0 ? nullptr : hidden,
                    .logits = wanted == 0 ? nullptr : logits};
  if (blocks_here_ == 0) {
    piece.tokens = tokens;
    return device_->run(piece);
  }
  const Rows rows = run_blocks(tokens, wanted);
  const ValuePlace stream{0, 0, model_->width()};
  piece.stream = rows.at(stream, 0);
  piece.stream_stride = rows.stride(stream);
  return device_->run(piece);
}

Status Session::project(std::span<const float> hidden, std::span<float> logits) {
  const int64_t width = model_->width(), vocabulary = model_->vocabulary();
  const int64_t count = static_cast<int64_t>(hidden.size()) / width;
  if (count * width != static_cast<int64_t>(hidden.size()) ||
      count * vocabulary != static_cast<int64_t>(logits.size())) {
    return invalid_argument("{} floats of hidden states do not give {} logits", hidden.size(),
                            logits.size());
  }
  if (device_ != nullptr) return device_->project(hidden, logits);
  const Program& program = model_->program();
  std::vector<float> in;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    Rows rows{.count = std::min(kPiece, count - begin)};
    for (size_t s = 1; s < epilogue_slots_.size(); ++s) {
      const auto need = static_cast<size_t>(rows.count * stride_of(program.epilogue_slots[s]));
      epilogue_slots_[s].reserve(need);
    }
    rows.slots = &epilogue_slots_;
    rows.columns = &program.epilogue_slots;
    in.assign(hidden.begin() + begin * width, hidden.begin() + (begin + rows.count) * width);
    rows.stream = in.data();
    rows.stream_stride = width;
    for (const Step& step : program.epilogue) {
      if (step.op->kind == OpKind::kLinear && step.out.slot == 0) {
        // Here the logits take the stream's place.
        rows.stream = logits.data() + begin * vocabulary;
        rows.stream_stride = vocabulary;
      }
      step.op->kind == OpKind::kLinear ? run_linears({&step, 1}, rows) : run_step(step, rows);
    }
  }
  return {};
}

void Session::run(const std::vector<Step>& steps, Rows rows) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    if (step.op->kind == OpKind::kLinear) {
      if (step.starts_gated && run_gated({&step, 3}, rows)) {
        i += 2;
        continue;
      }
      const auto more = static_cast<size_t>(step.more_linears);
      run_linears({&step, more + 1}, rows);
      i += more;
    } else if (step.op->kind == OpKind::kAttention && rows.last_block) {
      // All keys and values are stored; of the rest only what is asked for has to be worked out.
      attend(step, rows, rows.wanted);
      rows.first = rows.count - rows.wanted;
      rows.count = rows.wanted;
      if (rows.count == 0) return;
    } else {
      run_step(step, rows);
    }
  }
}

}  // namespace pare

#include "model/exec_cuda/cuda_session.h"

#include <algorithm>
#include <cstring>

#include "codecs/codec.h"
#include "kernels/cuda/matmul.h"
#include "model/exec_native/kv_tile.h"
#include "model/exec_native/rope_tables.h"

namespace pare {
namespace {

using cuda::kFewTokens;

// Kernels are launched for so many positions: few different graphs, and none much too large.
int64_t rounded_length(int64_t length, int64_t capacity) {
  int64_t rounded = 256;
  while (rounded < length) rounded *= 2;
  return std::min(rounded, capacity);
}

}  // namespace

Result<std::unique_ptr<DeviceSession>> CudaSession::create(std::shared_ptr<const CudaModel> model,
                                                           int64_t context, CodecId kv) {
  PARE_RETURN_IF_ERROR(model->use_device());
  const Codec& form = codec(kv);
  if (!is_kv_form(kv)) {
    return unsupported("keys and values cannot be kept as {}; F32, F16, Q8_0 and Q4_0 can",
                       form.name);
  }
  const Program& program = model->model().program();
  for (const Op* op : program.attentions) {
    if (!form.divides(op->attr.head_dim) || !form.divides(op->attr.value_dim)) {
      return unsupported(
          "keys and values as {} need heads that divide by {}; this model's have {} and {} columns",
          form.name, form.block_len, op->attr.head_dim, op->attr.value_dim);
    }
  }
  std::unique_ptr<CudaSession> made(new CudaSession());
  made->model_ = model;
  PARE_ASSIGN_OR_RETURN(CudaStream stream, CudaStream::create());
  made->handle_ = std::make_unique<CudaStream>(std::move(stream));
  made->stream_ = model->traits();
  made->stream_.handle = made->handle_->handle();
  made->blas_ = Blas::create(made->stream_.handle);

  const uint64_t bytes = session_bytes(*model, context, kv);
  size_t free = 0, total = 0;
  PARE_RETURN_IF_ERROR(cuda_status(cudaMemGetInfo(&free, &total), "asking the GPU"));
  if (bytes > free) {
    return invalid_argument(
        "a context of {} tokens with keys and values as {} needs {:.2f} GiB on {}, and {:.2f} GiB "
        "are free",
        context, form.name, static_cast<double>(bytes) / (1 << 30), model->device().name,
        static_cast<double>(free) / (1 << 30));
  }
  PARE_ASSIGN_OR_RETURN(made->memory_, CudaMemory::on_device(bytes, "a session on the GPU"));
  Arena arena(made->memory_.data());
  lay_out_session(*model, context, kv, &arena, &made->arrays_);
  for (const cuda::KvLayer& layer : made->arrays_.layers) {
    if (layer.keys == nullptr) continue;
    made->position_bytes_ +=
        static_cast<uint64_t>(layer.kv_heads * (cuda::kv_row_bytes(kv, layer.key_columns) +
                                                cuda::kv_row_bytes(kv, layer.value_columns) +
                                                cuda::kv_scale_bytes(kv, layer.key_columns) +
                                                cuda::kv_scale_bytes(kv, layer.value_columns)));
  }

  const int64_t width = model->model().width(), vocabulary = model->model().vocabulary();
  Arena count, host;
  for (Arena* a : {&count, &host}) {
    if (a == &host) {
      PARE_ASSIGN_OR_RETURN(made->host_, CudaMemory::on_host(count.used(), "pinned memory"));
      host = Arena(made->host_.data());
    }
    made->host_params_ = a->take<int32_t>(2 + made->arrays_.piece);
    made->host_stream_ = a->take<float>(kFewTokens * width);
    made->host_hidden_ = a->take<float>(kFewTokens * width);
    made->host_logits_ = a->take<float>(kFewTokens * vocabulary);
  }

  made->stream_.note(cudaMemsetAsync(made->arrays_.counters, 0,
                                     static_cast<size_t>(made->arrays_.counter_count) * sizeof(int),
                                     made->stream_.handle));
  // Cosines and sines of all positions.
  double* frequencies = made->arrays_.frequencies;
  std::vector<std::vector<double>> kept;  // until they are copied
  for (size_t r = 0; r < program.ropes.size(); ++r) {
    const RopeParams& rope = program.ropes[r];
    const bool beyond =
        rope.scaling == RopeParams::Scaling::kLongRope && context > rope.original_context;
    const float* divisors = model->model().floats(beyond ? rope.long_factors : rope.factors);
    kept.push_back(rope_frequencies(rope, divisors));
    const cuda::Turns& turns = made->arrays_.turns[r];
    made->stream_.note(cudaMemcpyAsync(frequencies, kept.back().data(),
                                       kept.back().size() * sizeof(double), cudaMemcpyHostToDevice,
                                       made->stream_.handle));
    cuda::make_turns(made->stream_, frequencies, turns.pairs, rope.attention_factor, context,
                     const_cast<float*>(turns.table));
    frequencies += turns.pairs;
  }
  PARE_RETURN_IF_ERROR(made->finish());
  return std::unique_ptr<DeviceSession>(std::move(made));
}

CudaSession::~CudaSession() {
  for (auto& [shape, graph] : graphs_) {
    if (graph.exec != nullptr) cudaGraphExecDestroy(graph.exec);
  }
}

// Waits, and says what went wrong since the last time.
Status CudaSession::finish() {
  stream_.note(cudaStreamSynchronize(stream_.handle));
  return cuda_status(stream_.error, "running the model");
}

Status CudaSession::run(const DevicePiece& piece) {
  PARE_RETURN_IF_ERROR(model_->use_device());
  PARE_RETURN_IF_ERROR(cuda_status(stream_.error, "running the model"));
  const int64_t width = model_->model().width();
  const int64_t capacity =
      arrays_.layers.empty() ? piece.position + piece.count : arrays_.layers.back().capacity;
  const Shape shape{.count = piece.count,
                    .wanted = piece.wanted,
                    .longest = rounded_length(piece.position + piece.count, capacity),
                    .hidden = piece.hidden != nullptr,
                    .logits = piece.logits != nullptr};
  host_params_[0] = static_cast<int32_t>(piece.position);
  host_params_[1] = static_cast<int32_t>(piece.position + piece.count - piece.wanted);
  if (!piece.tokens.empty()) {
    std::memcpy(host_params_ + 2, piece.tokens.data(), piece.tokens.size_bytes());
  }
  const bool few = piece.count <= kFewTokens;
  if (few) {
    for (int64_t t = 0; t < piece.count && piece.stream != nullptr; ++t) {
      std::memcpy(host_stream_ + t * width, piece.stream + t * piece.stream_stride,
                  static_cast<size_t>(width) * sizeof(float));
    }
    Graph& graph = graphs_[shape];
    // Not at first: code is loaded to the device when it is first used, which a capture forbids.
    if (++graph.uses == 2) PARE_RETURN_IF_ERROR(capture(shape, &graph));
    if (graph.exec != nullptr) {
      stream_.note(cudaGraphLaunch(graph.exec, stream_.handle));
    } else {
      enqueue(shape);
      copy_results(shape, host_hidden_, host_logits_);
    }
    PARE_RETURN_IF_ERROR(finish());
    const auto wanted = static_cast<size_t>(piece.wanted);
    if (shape.hidden) {
      std::memcpy(piece.hidden, host_hidden_, wanted * static_cast<size_t>(width) * sizeof(float));
    }
    if (shape.logits) {
      std::memcpy(piece.logits, host_logits_,
                  wanted * static_cast<size_t>(model_->model().vocabulary()) * sizeof(float));
    }
    return {};
  }
  if (piece.stream != nullptr) {
    const cuda::FloatRows& to = arrays_.buffers[0];
    stream_.note(cudaMemcpy2DAsync(
        to.data, static_cast<size_t>(to.stride) * sizeof(float), piece.stream,
        static_cast<size_t>(piece.stream_stride) * sizeof(float),
        static_cast<size_t>(width) * sizeof(float), static_cast<size_t>(piece.count),
        cudaMemcpyHostToDevice, stream_.handle));
  }
  enqueue(shape);
  copy_results(shape, piece.hidden, piece.logits);
  return finish();
}

Status CudaSession::capture(const Shape& shape, Graph* graph) {
  cudaGraph_t captured = nullptr;
  stream_.note(cudaStreamBeginCapture(stream_.handle, cudaStreamCaptureModeRelaxed));
  enqueue(shape);
  copy_results(shape, host_hidden_, host_logits_);
  const cudaError_t ended = cudaStreamEndCapture(stream_.handle, &captured);
  stream_.note(ended);
  if (stream_.error == cudaSuccess) {
    stream_.note(cudaGraphInstantiate(&graph->exec, captured, 0));
  }
  if (captured != nullptr) cudaGraphDestroy(captured);
  return cuda_status(stream_.error, "capturing a graph");
}

// All of a piece but the copies of its results. What goes to the device lies in host_ (a long
// piece's stream is there already).
void CudaSession::enqueue(const Shape& shape) {
  const DevicePlan& plan = model_->plan();
  const bool whole = model_->first_block() == 0;
  const int64_t ints = 2 + (whole ? shape.count : 0);
  stream_.note(cudaMemcpyAsync(arrays_.params, host_params_,
                               static_cast<size_t>(ints) * sizeof(int32_t), cudaMemcpyHostToDevice,
                               stream_.handle));
  if (!whole && shape.count <= kFewTokens) {
    const cuda::FloatRows& to = arrays_.buffers[0];
    const size_t row = static_cast<size_t>(model_->model().width()) * sizeof(float);
    stream_.note(cudaMemcpy2DAsync(to.data, static_cast<size_t>(to.stride) * sizeof(float),
                                   host_stream_, row, row, static_cast<size_t>(shape.count),
                                   cudaMemcpyHostToDevice, stream_.handle));
  }
  ready_ = {};
  Rows rows{.count = shape.count, .position = arrays_.params, .longest = shape.longest};
  if (whole) run_part(plan.prologue, &rows, -1);
  for (size_t b = static_cast<size_t>(model_->first_block()); b < plan.blocks.size(); ++b) {
    run_part(plan.blocks[b], &rows, b + 1 == plan.blocks.size() ? shape.wanted : -1);
  }
}

// The epilogue for rows of the stream; logits lie in their buffer from row 0.
void CudaSession::enqueue_logits(int64_t first, int64_t count) {
  ready_ = {};
  Rows rows{.first = first, .count = count, .position = arrays_.params};
  run_part(model_->plan().epilogue, &rows, -1);
}

void CudaSession::copy_results(const Shape& shape, float* hidden, float* logits) {
  const int64_t first = shape.count - shape.wanted;
  const auto copy = [&](const cuda::FloatRows& from, int64_t row, int64_t count, int64_t columns,
                        float* to) {
    const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
    stream_.note(cudaMemcpy2DAsync(
        to, bytes, from.data + row * from.stride, static_cast<size_t>(from.stride) * sizeof(float),
        bytes, static_cast<size_t>(count), cudaMemcpyDeviceToHost, stream_.handle));
  };
  if (shape.wanted == 0) return;
  if (shape.hidden) {
    copy(arrays_.buffers[0], first, shape.wanted, model_->model().width(), hidden);
  }
  for (int64_t done = 0; shape.logits && done < shape.wanted; done += kLogitRows) {
    const int64_t count = std::min(kLogitRows, shape.wanted - done);
    const int64_t vocabulary = model_->model().vocabulary();
    enqueue_logits(first + done, count);
    copy(arrays_.buffers[static_cast<size_t>(model_->plan().logits.buffer)], 0, count, vocabulary,
         logits + done * vocabulary);
  }
}

Status CudaSession::project(std::span<const float> hidden, std::span<float> logits) {
  PARE_RETURN_IF_ERROR(model_->use_device());
  const int64_t width = model_->model().width(), vocabulary = model_->model().vocabulary();
  const int64_t all = static_cast<int64_t>(hidden.size()) / width;
  for (int64_t done = 0; done < all; done += kLogitRows) {
    const int64_t count = std::min(kLogitRows, all - done);
    const cuda::FloatRows& to = arrays_.buffers[0];
    const size_t row = static_cast<size_t>(width) * sizeof(float);
    stream_.note(cudaMemcpy2DAsync(
        to.data, static_cast<size_t>(to.stride) * sizeof(float), hidden.data() + done * width, row,
        row, static_cast<size_t>(count), cudaMemcpyHostToDevice, stream_.handle));
    copy_results({.count = count, .wanted = count, .logits = true}, nullptr,
                 logits.data() + done * vocabulary);
    PARE_RETURN_IF_ERROR(finish());
  }
  return {};
}

}  // namespace pare

#include "model/exec_cuda/cuda_model.h"

#include <algorithm>
#include <cstring>

#include "codecs/codec.h"
#include "kernels/cuda/matmul.h"
#include "model/exec_cuda/cuda_session.h"
#include "model/exec_cuda/session_memory.h"

namespace pare {
namespace {

constexpr uint64_t kStaging = 32u << 20;   // bytes that are on their way at once, twice
constexpr uint64_t kReserve = 384u << 20;  // for the driver: code, graphs, its own arrays

double gibibytes(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

bool is_table(OpKind kind) {
  return kind == OpKind::kEmbedding || kind == OpKind::kPositionEmbedding;
}

// Moves bytes to the device through two pinned buffers, one filled while the other is on its way.
class Uploader {
 public:
  static Result<Uploader> create(cudaStream_t stream, const cuda::Stream& traits) {
    Uploader made;
    made.stream_ = traits;
    made.stream_.handle = stream;
    PARE_ASSIGN_OR_RETURN(made.host_, CudaMemory::on_host(2 * kStaging, "pinned memory"));
    PARE_ASSIGN_OR_RETURN(made.device_,
                          CudaMemory::on_device(2 * kStaging, "memory for copying weights"));
    for (cudaEvent_t& event : made.done_) {
      PARE_RETURN_IF_ERROR(
          cuda_status(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event"));
    }
    return made;
  }
  Uploader(Uploader&& other) noexcept
      : stream_(other.stream_), host_(std::move(other.host_)), device_(std::move(other.device_)) {
    std::swap(done_, other.done_);
  }
  Uploader& operator=(Uploader&&) = delete;
  ~Uploader() {
    for (cudaEvent_t event : done_) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }

  Status floats(std::span<const std::byte> bytes, uint8_t* to) {
    for (uint64_t at = 0; at < bytes.size(); at += kStaging) {
      const uint64_t size = std::min<uint64_t>(kStaging, bytes.size() - at);
      PARE_RETURN_IF_ERROR(fill(bytes.subspan(at, size)));
      stream_.note(cudaMemcpyAsync(to + at, host(), size, cudaMemcpyHostToDevice, stream_.handle));
      PARE_RETURN_IF_ERROR(next());
    }
    return {};
  }

  Status blocks(const PackedTensor& packed, const cuda::Matrix& matrix) {
    const auto block = static_cast<uint64_t>(codec(packed.codec).block_bytes);
    const uint64_t most = kStaging / block * block;
    for (uint64_t at = 0; at < packed.bytes.size(); at += most) {
      const uint64_t size = std::min(most, packed.bytes.size() - at);
      PARE_RETURN_IF_ERROR(fill(packed.bytes.subspan(at, size)));
      uint8_t* staged = device_.data() + turn_ * kStaging;
      stream_.note(cudaMemcpyAsync(staged, host(), size, cudaMemcpyHostToDevice, stream_.handle));
      cuda::split_fields(stream_, matrix, staged, static_cast<int64_t>(at / block),
                         static_cast<int64_t>(size / block));
      PARE_RETURN_IF_ERROR(next());
    }
    return {};
  }

 private:
  Uploader() = default;
  uint8_t* host() { return host_.data() + turn_ * kStaging; }
  Status fill(std::span<const std::byte> bytes) {
    PARE_RETURN_IF_ERROR(cuda_status(cudaEventSynchronize(done_[turn_]), "copying weights"));
    std::memcpy(host(), bytes.data(), bytes.size());
    return {};
  }
  Status next() {
    stream_.note(cudaEventRecord(done_[turn_], stream_.handle));
    turn_ = 1 - turn_;
    return cuda_status(stream_.error, "copying weights");
  }

  cuda::Stream stream_;
  CudaMemory host_, device_;
  cudaEvent_t done_[2] = {};
  size_t turn_ = 0;
};

}  // namespace

std::vector<const DevicePart*> CudaModel::parts() const {
  std::vector<const DevicePart*> parts;
  if (first_block_ == 0) parts.push_back(&plan_.prologue);
  for (size_t b = static_cast<size_t>(first_block_); b < plan_.blocks.size(); ++b) {
    parts.push_back(&plan_.blocks[b]);
  }
  parts.push_back(&plan_.epilogue);
  return parts;
}

Status CudaModel::use_device() const {
  return cuda_status(cudaSetDevice(device_.index), "choosing the GPU");
}

// Where everything lies; an arena without memory counts.
Status CudaModel::lay_out(Arena* arena) {
  const size_t tensors = model_->desc().tensors.size();
  matrices_.assign(tensors, {});
  floats_.assign(tensors, nullptr);
  std::vector<bool> placed(tensors, false);
  const auto place = [&](int32_t tensor) {
    const bool is_new = tensor >= 0 && !placed[static_cast<size_t>(tensor)];
    if (is_new) placed[static_cast<size_t>(tensor)] = true;
    return is_new;
  };
  const auto add_matrix = [&](int32_t tensor) -> Status {
    if (!place(tensor)) return {};
    const PackedTensor& packed = model_->matrix(tensor);
    const cuda::DeviceCodec* known = cuda::find_device_codec(packed.codec);
    const std::string& name = model_->desc().tensors[static_cast<size_t>(tensor)].name;
    if (known == nullptr) {
      return unsupported("{}: tensor {} is {}, which the GPU has no kernel for",
                         model_->model().path, name, codec(packed.codec).name);
    }
    cuda::Matrix& matrix = matrices_[static_cast<size_t>(tensor)];
    matrix = {packed.codec, packed.shape.rows(), packed.shape.columns(), {}};
    const int64_t blocks = matrix.rows * (matrix.columns / known->block_len);
    for (int f = 0; f < known->field_count; ++f) {
      matrix.field[f] = arena->take(blocks * known->field[f].bytes);
    }
    return {};
  };
  const auto add_floats = [&](int32_t tensor) {
    if (!place(tensor)) return;
    floats_[static_cast<size_t>(tensor)] =
        arena->take<float>(model_->desc().tensors[static_cast<size_t>(tensor)].shape.elements());
  };
  for (const DevicePart* part : parts()) {
    for (const DeviceOp& op : part->ops) {
      for (const DeviceLinear& linear : op.linears) {
        PARE_RETURN_IF_ERROR(add_matrix(linear.weight));
        add_floats(linear.bias);
      }
      if (op.kind == OpKind::kLinear) continue;
      if (is_table(op.kind)) {
        PARE_RETURN_IF_ERROR(add_matrix(op.op->weight));
      } else {
        add_floats(op.op->weight);
      }
      add_floats(op.op->bias);
    }
  }
  books_memory_ = arena->take(static_cast<int64_t>(cuda::book_bytes()));
  return {};
}

Status CudaModel::upload(cudaStream_t handle) {
  PARE_ASSIGN_OR_RETURN(Uploader uploader, Uploader::create(handle, traits_));
  for (size_t t = 0; t < matrices_.size(); ++t) {
    const auto tensor = static_cast<int32_t>(t);
    const cuda::Matrix& matrix = matrices_[t];
    if (matrix.rows > 0) {
      const PackedTensor& packed = model_->matrix(tensor);
      if (cuda::find_device_codec(matrix.codec)->is_float) {
        PARE_RETURN_IF_ERROR(uploader.floats(packed.bytes, const_cast<uint8_t*>(matrix.field[0])));
      } else {
        PARE_RETURN_IF_ERROR(uploader.blocks(packed, matrix));
      }
    } else if (floats_[t] != nullptr) {
      const auto count = static_cast<size_t>(model_->desc().tensors[t].shape.elements());
      PARE_RETURN_IF_ERROR(uploader.floats(std::as_bytes(std::span(model_->floats(tensor), count)),
                                           reinterpret_cast<uint8_t*>(floats_[t])));
    }
  }
  cuda::Stream stream = traits_;
  stream.handle = handle;
  books_ = cuda::upload_books(stream, books_memory_);
  PARE_RETURN_IF_ERROR(cuda_status(stream.error, "copying codebooks"));
  return cuda_status(cudaStreamSynchronize(handle), "copying weights to the GPU");
}

Result<std::shared_ptr<const DeviceModel>> CudaModel::load(std::shared_ptr<const NativeModel> model,
                                                           const DeviceInfo& device,
                                                           const DeviceRequest& request) {
  std::shared_ptr<CudaModel> made(new CudaModel());
  made->device_ = device;
  PARE_RETURN_IF_ERROR(made->use_device());
  made->traits_.overlap = cuda::kernels_can_overlap(device.major);
  int processors = 0, shared = 0;
  PARE_RETURN_IF_ERROR(
      cuda_status(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device.index),
                  "asking the GPU"));
  PARE_RETURN_IF_ERROR(cuda_status(
      cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index),
      "asking the GPU"));
  made->traits_.processors = processors;
  made->traits_.shared_memory = shared;
  made->model_ = std::move(model);
  const NativeModel& native = *made->model_;
  Result<DevicePlan> plan = plan_for_device(native.desc(), native.program());
  if (!plan.ok()) return plan.status().with_context(native.model().path);
  made->plan_ = std::move(plan).value();
  const auto all = static_cast<int64_t>(made->plan_.blocks.size());

  // What some of the last blocks need, weights and a session.
  const auto needed = [&](int64_t blocks) -> Result<uint64_t> {
    made->first_block_ = all - blocks;
    Arena count;
    PARE_RETURN_IF_ERROR(made->lay_out(&count));
    return count.used() + session_bytes(*made, request.context, request.kv) + 2 * kStaging +
           kReserve;
  };
  const int64_t wanted = request.blocks < 0 ? all : std::min(request.blocks, all);
  PARE_ASSIGN_OR_RETURN(const uint64_t need, needed(wanted));
  size_t free = 0, total = 0;
  PARE_RETURN_IF_ERROR(cuda_status(cudaMemGetInfo(&free, &total), "asking the GPU"));
  if (need > free) {
    int64_t fits = wanted - 1;
    while (fits > 0) {
      PARE_ASSIGN_OR_RETURN(const uint64_t less, needed(fits));
      if (less <= free) break;
      --fits;
    }
    const std::string way = fits > 0 ? fmt::format("--gpu-layers {} fits", fits)
                                     : std::string("no block fits (--device cpu)");
    return invalid_argument(
        "{}: {} of {} blocks with a context of {} need {:.2f} GiB on {}, and {:.2f} GiB are free; "
        "{}",
        native.model().path, wanted, all, request.context, gibibytes(need), device.name,
        gibibytes(free), way);
  }
  made->first_block_ = all - wanted;
  Arena count;
  PARE_RETURN_IF_ERROR(made->lay_out(&count));
  PARE_ASSIGN_OR_RETURN(made->memory_, CudaMemory::on_device(count.used(), "weights on the GPU"));
  Arena arena(made->memory_.data());
  PARE_RETURN_IF_ERROR(made->lay_out(&arena));
  PARE_ASSIGN_OR_RETURN(const CudaStream stream, CudaStream::create());
  PARE_RETURN_IF_ERROR(made->upload(stream.handle()));
  return std::shared_ptr<const DeviceModel>(std::move(made));
}

Result<std::unique_ptr<DeviceSession>> CudaModel::open(int64_t context, CodecId kv) const {
  return CudaSession::create(shared_from_this(), context, kv);
}

Result<double> CudaModel::copy_bandwidth() const {
  PARE_RETURN_IF_ERROR(use_device());
  constexpr uint64_t kBytes = uint64_t{1} << 30;
  constexpr int kTimes = 8;
  PARE_ASSIGN_OR_RETURN(const CudaMemory from, CudaMemory::on_device(kBytes, "a copy"));
  PARE_ASSIGN_OR_RETURN(const CudaMemory to, CudaMemory::on_device(kBytes, "a copy"));
  PARE_ASSIGN_OR_RETURN(const CudaStream stream, CudaStream::create());
  cudaEvent_t start = nullptr, end = nullptr;
  cudaError_t error = cudaEventCreate(&start);
  if (error == cudaSuccess) error = cudaEventCreate(&end);
  float milliseconds = 0.0f;
  for (int i = -1; i < kTimes && error == cudaSuccess; ++i) {
    if (i == 0) error = cudaEventRecord(start, stream.handle());
    if (error != cudaSuccess) break;
    error =
        cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream.handle());
  }
  if (error == cudaSuccess) error = cudaEventRecord(end, stream.handle());
  if (error == cudaSuccess) error = cudaEventSynchronize(end);
  if (error == cudaSuccess) error = cudaEventElapsedTime(&milliseconds, start, end);
  if (start != nullptr) cudaEventDestroy(start);
  if (end != nullptr) cudaEventDestroy(end);
  PARE_RETURN_IF_ERROR(cuda_status(error, "measuring the GPU's memory"));
  return 2.0 * kTimes * static_cast<double>(kBytes) / (1e-3 * static_cast<double>(milliseconds));
}

}  // namespace pare

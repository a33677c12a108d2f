// One text on a GPU. Work is put on one stream; with few tokens it is captured as a graph once and
// then replayed, position and tokens lying in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "model/exec_cuda/blas.h"
#include "model/exec_cuda/session_memory.h"

namespace pare {

class CudaSession final : public DeviceSession {
 public:
  static Result<std::unique_ptr<DeviceSession>> create(std::shared_ptr<const CudaModel> model,
                                                       int64_t context, CodecId kv);
  ~CudaSession() override;

  int64_t piece() const override { return arrays_.piece; }
  uint64_t cache_bytes_per_position() const override { return position_bytes_; }
  Status run(const DevicePiece& piece) override;
  Status project(std::span<const float> hidden, std::span<float> logits) override;

 private:
  // What a graph is captured for.
  struct Shape {
    int64_t count = 0, wanted = 0;
    int64_t longest = 0;  // positions that kernels are launched for
    bool hidden = false, logits = false;
    auto operator<=>(const Shape&) const = default;
  };
  struct Graph {
    int uses = 0;
    cudaGraphExec_t exec = nullptr;
  };
  // Which rows of the buffers operations are at, and what is known of them.
  struct Rows {
    int64_t first = 0, count = 0;
    const int32_t* position = nullptr;  // of row `first`
    int64_t longest = 0;
  };
  CudaSession() = default;

  Status finish();
  Status capture(const Shape& shape, Graph* graph);
  void enqueue(const Shape& shape);
  void enqueue_logits(int64_t first, int64_t count);
  void copy_results(const Shape& shape, float* hidden, float* logits);

  void run_part(const DevicePart& part, Rows* rows, int64_t wanted);
  void run_op(const DeviceOp& op, const DeviceOp* next, Rows* rows, int64_t wanted);
  void attend(const DeviceOp& op, const DeviceOp* next, Rows* rows, int64_t wanted);
  void linears(const DeviceOp& op, const DeviceOp* next, const Rows& rows);
  void few_tokens(const DeviceOp& op, const DeviceOp* next, const Rows& rows);
  // One token, with kernels that norm and round their input themselves.
  bool takes_one(const DeviceOp& linear, const Rows& rows) const;
  void one_token(const DeviceOp& op, const Rows& rows);
  void many_tokens(const DeviceOp& op, const Rows& rows);
  // y = weight x for halves of weights of some neighbouring rows, then scales, bias and residual.
  void multiply_halves(const uint16_t* weight, int64_t rows_count, int64_t columns,
                       const cuda::HalfRows& x, int64_t tokens, const cuda::Output& out);
  void multiply(const DeviceLinear& linear, const DevicePlace& residual, const cuda::FloatRows& x,
                const cuda::HalfRows& half, const Rows& rows);
  void gate(const DeviceOp& op, const DeviceOp* next, const Rows& rows);

  cuda::FloatRows at(const DevicePlace& place, const Rows& rows) const;
  cuda::Output output(const DeviceLinear& linear, const DevicePlace& residual,
                      const Rows& rows) const;
  // `out` and the forms in which `next` reads it; notes that they are there.
  cuda::Forms forms(const DevicePlace& out, const DeviceOp* next, const Rows& rows);
  bool needs_int8(const DeviceOp& linear, const Rows& rows) const;
  bool needs_half(const DeviceOp& linear, const Rows& rows) const;

  std::shared_ptr<const CudaModel> model_;
  std::unique_ptr<CudaStream> handle_;
  cuda::Stream stream_;
  std::unique_ptr<Blas> blas_;  // null: there is none
  CudaMemory memory_, host_;
  SessionArrays arrays_;
  uint64_t position_bytes_ = 0;
  DevicePlace ready_;               // in whose forms the activations are
  const DeviceOp* norm_ = nullptr;  // left to the next operation, a linear
  std::map<Shape, Graph> graphs_;
  // Parts of host_: what goes to the device, and comes back, of few tokens.
  int32_t* host_params_ = nullptr;
  float *host_stream_ = nullptr, *host_hidden_ = nullptr, *host_logits_ = nullptr;
};

}  // namespace pare

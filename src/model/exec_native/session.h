// One text being run through a model: its cache of keys and values, its position, and the arrays
// in between. Sessions share the model; one session, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/threads.h"
#include "kernels/activations.h"
#include "kernels/aligned.h"
#include "kernels/matmul.h"
#include "model/exec_native/accelerator.h"
#include "model/exec_native/kv_cache.h"
#include "model/exec_native/native_model.h"
#include "model/exec_native/rope_tables.h"

namespace pare {

struct SessionOptions {
  int64_t context = 0;         // positions; 0: as many as the model was made for
  CodecId kv = CodecId::kF16;  // one of kv_forms()
  // Runs its blocks and the output; the blocks before them are run here. Null: all are. Of the
  // same NativeModel.
  std::shared_ptr<const DeviceModel> device;
};

class Session {
 public:
  // `pool` must outlive the session. Errors: those of KvCache::create and DeviceModel::open;
  // kInvalidArgument: a context beyond the model's.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const NativeModel> model,
                                                 ThreadPool& pool,
                                                 const SessionOptions& options = {});

  const NativeModel& model() const { return *model_; }
  uint64_t cache_bytes_per_position() const {
    return cache_->bytes_per_position() +
           (device_ == nullptr ? 0 : device_->cache_bytes_per_position());
  }
  int64_t length() const { return length_; }  // tokens so far
  int64_t capacity() const { return cache_->capacity(); }

  // Runs `tokens` after those so far, and writes what the model says after each of the last
  // n = logits.size() / vocabulary of them: row-major [n, vocabulary]. n may be 0.
  // Errors: kInvalidArgument: a token out of the vocabulary, no place left. Nothing is run then.
  // kInternal: the device failed.
  Status forward(std::span<const int32_t> tokens, std::span<float> logits);
  // The same, with hidden states [n, width] after the last block instead.
  Status hidden(std::span<const int32_t> tokens, std::span<float> hidden);
  // Final norm and output matrix: [n, width] -> [n, vocabulary].
  Status project(std::span<const float> hidden, std::span<float> logits);

  // Forgets all positions from `length` on; more than there are: no change.
  void rewind(int64_t length);

  // How many tokens are run at once. A long prompt given in pieces of this size costs nothing
  // more, and lets the caller stop between them.
  int64_t piece() const { return device_ == nullptr ? kPiece : device_->piece(); }

 private:
  static constexpr int64_t kPiece = 512;
  struct Rows;  // which tokens of a piece, and where the arrays are
  Session() = default;
  Status check(std::span<const int32_t> tokens) const;
  void reserve(int64_t tokens);
  // Results of the last `wanted` tokens; of the two arrays one is null, and logits only with a
  // device.
  Status run_text(std::span<const int32_t> tokens, int64_t wanted, float* hidden, float* logits);
  void run_piece(std::span<const int32_t> tokens, int64_t wanted, float* hidden);
  Status run_piece_on_device(std::span<const int32_t> tokens, int64_t wanted, float* hidden,
                             float* logits);
  // The prologue and the blocks that are not on the device.
  Rows run_blocks(std::span<const int32_t> tokens, int64_t wanted);
  void run(const std::vector<Step>& steps, Rows rows);
  void run_step(const Step& step, const Rows& rows);
  void take_input(const Step& linear, const Rows& rows);
  // Linears with the same input, at once.
  void run_linears(std::span<const Step> steps, const Rows& rows);
  // Two linears and the step that multiplies them, in one pass; false where that does not pay.
  bool run_gated(std::span<const Step> steps, const Rows& rows);
  void embed(const Step& step, const Rows& rows);
  // Stores keys and values of all rows; attends from the last `wanted`.
  void attend(const Step& step, const Rows& rows, int64_t wanted);
  template <typename Body>
  void for_rows(const Rows& rows, const Body& body);

  std::shared_ptr<const NativeModel> model_;
  ThreadPool* pool_ = nullptr;
  std::unique_ptr<KvCache> cache_;  // of the blocks that are run here
  std::unique_ptr<DeviceSession> device_;
  size_t blocks_here_ = 0;
  std::vector<RopeTable> ropes_;
  int64_t length_ = 0;

  int64_t reserved_ = 0;                     // tokens that slots_ have room for
  std::vector<AlignedBuffer<float>> slots_;  // Program::slots
  std::vector<AlignedBuffer<float>> epilogue_slots_;
  Activations input_;              // of the linear operations at hand
  std::vector<Product> products_;  // these, while they run
  std::vector<float> attention_scratch_, last_hidden_;
};

}  // namespace pare

// The one loop that turns a model and a plan into a file: header first, then tensor by tensor
// with a journal, so that a killed run goes on where it was and gives the same bytes; the output
// appears under its name when it is whole. An encoder supplies the mathematics.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "model/open.h"
#include "planner/plan.h"
#include "planner/stats.h"

namespace pare {

// Makes the planned bytes of one tensor at a time. Not shared between threads.
class Encoder {
 public:
  using Write = std::function<Status(std::span<const std::byte>)>;
  virtual ~Encoder() = default;
  // Settings that change the bytes, for the journal ("gptq damping 0.01, stats 81ab...").
  virtual std::string identity() const = 0;
  // Writes tensor `index` of the plan, whole, in pieces.
  virtual Status encode(size_t index, const Write& write) = 0;
  // Tensor `index` was finished by an earlier run; `bytes` are in the plan's codec.
  virtual Status restored(size_t index, const PackedTensor& bytes) = 0;
};

// Round to nearest, a few rows at a time: memory does not grow with the tensor. stats may be
// null; NaN and infinite weights are errors that name the place.
std::unique_ptr<Encoder> make_rtn_encoder(const Model& model, const Plan& plan,
                                          const CalibrationStats* stats, ThreadPool& pool);

struct DriveOptions {
  std::string output;
  uint64_t split_max_bytes = 0;  // 0: one file
  FileSystem* fs = &FileSystem::real();
};

struct DriveResult {
  std::vector<std::string> files;
  std::vector<std::string> headers;  // of each file: the bytes before the weights
  uint64_t file_bytes = 0;
  size_t restored = 0;              // tensors that an earlier run had finished
  std::vector<std::string> hashes;  // of each tensor's bytes, in plan order
};

// The order in which tensors are encoded: embeddings, blocks in order, then the rest.
std::vector<size_t> encoding_order(const Model& model);

// Fails without touching anything if the plan does not fit the model or the output is one of
// the model's own files. After a failure or a stop the partial output stays for the next run.
Result<DriveResult> drive(const Model& model, const Plan& plan, Encoder& encoder,
                          const DriveOptions& options, Progress& progress);

}  // namespace pare

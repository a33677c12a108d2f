// What compression needs of a tensor library: running a float model, with gradients, and the
// methods that stand on it. The implementation is libpare_compress, which the program loads for
// the verbs that need it; the rest of pare does without.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "compress/driver.h"
#include "model/executor.h"
#include "model/open.h"
#include "planner/plan.h"
#include "planner/probe.h"
#include "planner/stats.h"

namespace pare {

// Token sequences of one length.
using TokenWindows = std::vector<std::vector<int32_t>>;

struct RefineOptions {
  int rounds = 1;       // of measuring and solving again
  int64_t windows = 4;  // measured on this many windows
  std::string scratch;  // path of a file as large as the plan says; removed afterwards
};

// What a device is wanted for.
struct DeviceUse {
  const ModelDesc* model = nullptr;
  int64_t tokens = 0;      // whose streams are kept together
  bool calibrates = true;  // also second moments of inputs, and their factors
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Where models are run from now on: "cpu" (to begin with), "cuda", "cuda:N" or "auto": a GPU that
  // has the memory for what is to come, else the CPU. Encoding stays the CPU's work. Gives a line
  // for the user if "auto" passes over a GPU, or nothing. kUnsupported, with the reason, if there
  // is no such device.
  virtual Result<std::string> use_device(const std::string& name, const DeviceUse& use) = 0;

  // The model in float32, weights dequantized; one thread per call, `pool.threads()` at once.
  virtual Result<std::unique_ptr<Executor>> make_executor(std::shared_ptr<const Model> model,
                                                          ThreadPool& pool) = 0;

  // One calibration pass. gradients: also the backward pass that lets costs of different
  // tensors be compared.
  virtual Result<CalibrationStats> calibrate(std::shared_ptr<const Model> model,
                                             const TokenWindows& windows, bool gradients,
                                             ThreadPool& pool, Progress& progress) = 0;

  // Tokens drawn from the model itself, `count` windows of `length` that begin with `bos` (or,
  // if negative, with a token drawn at random).
  virtual Result<TokenWindows> sample(std::shared_ptr<const Model> model, int64_t count,
                                      int64_t length, int32_t bos, uint64_t seed, ThreadPool& pool,
                                      Progress& progress) = 0;

  // Carries out plans with error-compensated tensors: statistics of every block are measured on
  // the outputs of the compressed blocks before it.
  virtual Result<std::unique_ptr<Encoder>> make_encoder(std::shared_ptr<const Model> model,
                                                        const Plan& plan,
                                                        const CalibrationStats& stats,
                                                        const TokenWindows& windows,
                                                        ThreadPool& pool, Progress& progress) = 0;

  // Measures what the estimates of `table` are worth and solves again: the better plan.
  virtual Result<Plan> refine(std::shared_ptr<const Model> model, const Plan& plan,
                              const std::vector<TensorCandidates>& table,
                              const CalibrationStats& stats, const TokenWindows& windows,
                              const RefineOptions& options, ThreadPool& pool,
                              Progress& progress) = 0;
};

// The symbol that libpare_compress exports.
extern "C" Backend* pare_backend();
inline constexpr char kBackendSymbol[] = "pare_backend";

}  // namespace pare

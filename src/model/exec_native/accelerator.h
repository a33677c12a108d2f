// What a device with memory of its own does for the native engine: it holds the last blocks of a
// model and the output, and runs them. The core knows it through this interface alone; the
// implementation is a library of its own (libpare_cuda), loaded where a driver is there.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/exec_native/native_model.h"

namespace pare {

struct DeviceInfo {
  int index = 0;
  std::string name;
  uint64_t memory = 0, free_memory = 0;  // bytes
  int major = 0, minor = 0;              // compute capability
  std::string driver;                    // the newest CUDA that the driver runs
};

// One piece of text. What is known of positions before `position` is in the session's cache;
// what was there from it on is replaced, so that rewinding needs no call.
struct DevicePiece {
  std::span<const int32_t> tokens;  // where the device has all blocks
  const float* stream = nullptr;    // else what the blocks before leave, [count][stream_stride]
  int64_t stream_stride = 0;
  int64_t count = 0;        // tokens, at most piece()
  int64_t position = 0;     // of the first
  int64_t wanted = 0;       // results are wanted of so many last tokens
  float* hidden = nullptr;  // [wanted, width] after the last block, or null
  float* logits = nullptr;  // [wanted, vocabulary], or null
};

// One text on a device. One thread at a time. Errors: kInternal: the device failed; its session
// is of no more use then.
class DeviceSession {
 public:
  virtual ~DeviceSession() = default;
  virtual int64_t piece() const = 0;  // tokens that run() takes at most
  virtual uint64_t cache_bytes_per_position() const = 0;
  virtual Status run(const DevicePiece& piece) = 0;
  // Final norm and output matrix: [n, width] -> [n, vocabulary].
  virtual Status project(std::span<const float> hidden, std::span<float> logits) = 0;
};

// Weights on a device; sessions share them.
class DeviceModel {
 public:
  virtual ~DeviceModel() = default;
  virtual const DeviceInfo& device() const = 0;
  virtual int64_t first_block() const = 0;  // the blocks from this one on are there
  virtual uint64_t bytes() const = 0;       // of weights there
  // Positions and the form of keys and values (one of kv_forms()). kInvalidArgument: too little
  // memory (says how much), kUnsupported: heads that do not divide by the form's block.
  virtual Result<std::unique_ptr<DeviceSession>> open(int64_t context, CodecId kv) const = 0;
  // Bytes per second, read and written, of a copy within the device's memory.
  virtual Result<double> copy_bandwidth() const = 0;
};

struct DeviceRequest {
  int device = 0;
  int64_t blocks = -1;  // so many of the last; -1: all
  // The session that the memory must be enough for.
  int64_t context = 0;
  CodecId kv = CodecId::kF16;
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  // kUnsupported: no driver, or no device.
  virtual Result<std::vector<DeviceInfo>> devices() const = 0;
  // kInvalidArgument: too little memory; says how much is needed and free, and how many blocks
  // would fit. kUnsupported: an operation, extent or codec that the device does not know.
  virtual Result<std::shared_ptr<const DeviceModel>> load(std::shared_ptr<const NativeModel> model,
                                                          const DeviceRequest& request) const = 0;
};

// The symbol that the library exports.
extern "C" const Accelerator* pare_accelerator();
inline constexpr char kAcceleratorSymbol[] = "pare_accelerator";

}  // namespace pare

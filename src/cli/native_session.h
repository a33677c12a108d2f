// A model opened for the native engine, as `run` and `bench` do.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/threads.h"
#include "cli/device.h"
#include "model/exec_native/session.h"

namespace pare::cli {

struct NativeOptions {
  int64_t context = 0;  // 0: up to kDefaultContext
  std::string kv = "F16";
  DeviceChoice device;
};
inline constexpr int64_t kDefaultContext = 4096;

// Adds --ctx, --kv, --device and --gpu-layers.
void add_native_options(CLI::App& app, NativeOptions& options);

Result<std::shared_ptr<const NativeModel>> load_native(const std::string& path);

// A session, and the device that it runs on; null: the CPU.
struct MadeSession {
  std::unique_ptr<Session> session;
  std::shared_ptr<const DeviceModel> device;
};

// kInvalidArgument: options that make no sense; the errors of Session::create and load_on_device.
Result<MadeSession> make_session(std::shared_ptr<const NativeModel> model,
                                 const NativeOptions& options, ThreadPool& pool, bool quiet);

}  // namespace pare::cli

// A model opened for the native engine, as `run` and `bench` do.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/threads.h"
#include "model/exec_native/session.h"

namespace pare::cli {

struct NativeOptions {
  int64_t context = 0;  // 0: up to kDefaultContext
  std::string kv = "F16";
};
inline constexpr int64_t kDefaultContext = 4096;

// Adds --ctx and --kv.
void add_native_options(CLI::App& app, NativeOptions& options);

Result<std::shared_ptr<const NativeModel>> load_native(const std::string& path);

// kInvalidArgument: options that make no sense; the errors of Session::create.
Result<std::unique_ptr<Session>> make_session(std::shared_ptr<const NativeModel> model,
                                              const NativeOptions& options, ThreadPool& pool);

}  // namespace pare::cli

// The native engine as an Executor: what evaluation runs packed weights with.
#pragma once

#include <memory>

#include "base/threads.h"
#include "model/exec_native/accelerator.h"
#include "model/exec_native/native_model.h"
#include "model/executor.h"

namespace pare {

// Keys and values are kept as `kv`; F32 measures the weights alone. `pool` must outlive it. One
// call uses all threads of the pool, and the device if there is one (session.h).
std::unique_ptr<Executor> make_native_executor(std::shared_ptr<const NativeModel> model,
                                               ThreadPool& pool, CodecId kv = CodecId::kF32,
                                               std::shared_ptr<const DeviceModel> device = nullptr);

}  // namespace pare

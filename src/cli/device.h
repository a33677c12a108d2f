// Which device a verb runs on: --device and --gpu-layers.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "model/exec_native/accelerator.h"

namespace pare::cli {

struct DeviceChoice {
  std::string device = "auto";  // or "cpu", "cuda", "cuda:N"
  int64_t gpu_layers = -1;      // -1: all
};
void add_device_options(CLI::App& app, DeviceChoice& choice);

// kUnsupported, with the reason, if there is none.
Result<std::vector<DeviceInfo>> find_devices();

// The model's last blocks on the chosen device; null: all is run by the CPU. "auto" takes a device
// if there is one and the model fits (or --gpu-layers of it), and says on stderr why not where a
// device was there, unless `quiet`. `context` and `kv`: of the sessions to come.
Result<std::shared_ptr<const DeviceModel>> load_on_device(std::shared_ptr<const NativeModel> model,
                                                          const DeviceChoice& choice,
                                                          int64_t context, CodecId kv, bool quiet);

// "cpu", or the device's name and how much of the model is there.
std::string describe_device(const DeviceModel* device, const NativeModel& model);

}  // namespace pare::cli

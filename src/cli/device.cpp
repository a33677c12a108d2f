#include "cli/device.h"

#include <fmt/format.h>

#include "base/device_name.h"
#include "base/shared_library.h"

namespace pare::cli {
namespace {

Result<const Accelerator*> load_accelerator() {
  PARE_ASSIGN_OR_RETURN(void* entry,
                        load_library("libpare_cuda.so", kAcceleratorSymbol, PARE_LIBDIR));
  return reinterpret_cast<const Accelerator* (*)()>(entry)();
}

// Whether a driver is installed; without one the library need not be looked for.
bool has_driver() { return load_library("libcuda.so.1", "cuInit", PARE_LIBDIR).ok(); }

Status no_library(const Status& why) {
  if (why.code() != StatusCode::kUnsupported) return why;
  return unsupported(
      "libpare_cuda, the part of pare for NVIDIA GPUs, cannot be loaded ({}); build "
      "with -DPARE_CUDA=ON and nvcc installed",
      why.message());
}

}  // namespace

void add_device_options(CLI::App& app, DeviceChoice& choice) {
  app.add_option("--device", choice.device,
                 "cpu, cuda (or cuda:1, ...), or auto: a GPU if there is one and the model fits")
      ->capture_default_str();
  app.add_option("--gpu-layers", choice.gpu_layers,
                 "How many of the last blocks are on the GPU, with the output (default: all)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
}

Result<std::vector<DeviceInfo>> find_devices() {
  if (!has_driver()) return unsupported("no NVIDIA driver is installed");
  const Result<const Accelerator*> accelerator = load_accelerator();
  if (!accelerator.ok()) return no_library(accelerator.status());
  return (*accelerator)->devices();
}

Result<std::shared_ptr<const DeviceModel>> load_on_device(std::shared_ptr<const NativeModel> model,
                                                          const DeviceChoice& choice,
                                                          int64_t context, CodecId kv, bool quiet) {
  const std::shared_ptr<const DeviceModel> none;
  const bool automatic = choice.device == "auto";
  const int index = automatic ? 0 : cuda_index(choice.device);
  if (choice.device == "cpu") return none;
  if (index < 0) {
    return invalid_argument("--device: \"{}\" is none of cpu, cuda, cuda:N and auto",
                            choice.device);
  }
  if (choice.gpu_layers == 0) return none;
  if (!has_driver()) {
    if (automatic) return none;
    return unsupported("--device {}: no NVIDIA driver is installed", choice.device);
  }
  const Result<const Accelerator*> accelerator = load_accelerator();
  if (!accelerator.ok()) {
    if (automatic) return none;
    return no_library(accelerator.status()).with_context("--device " + choice.device);
  }
  auto loaded =
      (*accelerator)
          ->load(std::move(model),
                 {.device = index, .blocks = choice.gpu_layers, .context = context, .kv = kv});
  if (loaded.ok() || !automatic) return loaded;
  // Asked for a part that does not fit: not silently something else.
  if (choice.gpu_layers > 0) return loaded;
  const bool device = (*accelerator)->devices().ok();
  if (device && !quiet) fmt::print(stderr, "on the CPU: {}\n", loaded.status().message());
  return none;
}

std::string describe_device(const DeviceModel* device, const NativeModel& model) {
  if (device == nullptr) return "cpu";
  const auto all = static_cast<int64_t>(model.program().blocks.size());
  const int64_t there = all - device->first_block();
  return there == all ? device->device().name
                      : fmt::format("{} of {} blocks on {}", there, all, device->device().name);
}

}  // namespace pare::cli

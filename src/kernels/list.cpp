#include "kernels/list.h"

#include <fmt/format.h>

#include "codecs/codec.h"

namespace pare {

Kernel select_kernel(CpuLevel level, CodecId id) {
  const Codec& c = codec(id);
  if (c.is_float()) return {&core(level), nullptr, nullptr, find_float_dot(level, id)};
  const Unpacker* unpacker = find_unpacker(level, id);
  return {unpacker == nullptr ? nullptr : &core(level), unpacker, find_dot(level, id)};
}

std::string describe_kernel(CpuLevel level, CodecId id) {
  const Kernel kernel = select_kernel(level, id);
  if (kernel.core == nullptr) return "none";
  const std::string core_name = cpu_level_name(kernel.core->level);
  if (kernel.unpacker == nullptr) return fmt::format("{}: floats", core_name);
  const PlanarForm& form = kernel.unpacker->form;
  std::string text = fmt::format("{}: bytes, scales of {}", core_name, form.scale_len);
  if (form.offset_len != 0) text += fmt::format(", offsets of {}", form.offset_len);
  text += fmt::format("; unpacked by {}", kernel.unpacker->name);
  return kernel.dot == nullptr ? text : text + "; few tokens without unpacking";
}

}  // namespace pare

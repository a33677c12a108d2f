#include "kernels/list.h"

#include <fmt/format.h>

#include "codecs/codec.h"

namespace pare {

Kernel select_kernel(CpuLevel level, CodecId id) {
  const Codec& c = codec(id);
  if (c.is_float()) {
    const bool half = id == CodecId::kF16 || id == CodecId::kBF16;
    const bool round = half && (core(level).many_wide != nullptr || core(level).bf16 != nullptr);
    return {&core(level), nullptr, nullptr, find_float_dot(level, id), round};
  }
  const Unpacker* unpacker = find_unpacker(level, id);
  return {unpacker == nullptr ? nullptr : &core(level), unpacker, find_dot(level, id)};
}

bool many_tokens_differ(const Kernel& kernel) {
  const Core& core = *kernel.core;
  if (core.bf16 != nullptr || kernel.round_floats) return true;
  return kernel.unpacker != nullptr && core.wide != nullptr && core.wide(kernel.unpacker->form);
}

std::string describe_kernel(CpuLevel level, CodecId id) {
  const Kernel kernel = select_kernel(level, id);
  if (kernel.core == nullptr) return "none";
  std::string text = cpu_level_name(kernel.core->level);
  if (kernel.unpacker == nullptr) {
    text += ": floats";
  } else {
    const PlanarForm& form = kernel.unpacker->form;
    text += fmt::format(": bytes, scales of {}", form.scale_len);
    if (form.offset_len != 0) text += fmt::format(", offsets of {}", form.offset_len);
    text += fmt::format("; unpacked by {}", kernel.unpacker->name);
    if (kernel.dot != nullptr) text += "; few tokens without unpacking";
  }
  if (kernel.core->bf16 != nullptr) {
    text += "; many tokens as bfloat16 in tiles";
  } else if (many_tokens_differ(kernel)) {
    text += "; many tokens as 16-bit integers";
  }
  return text;
}

}  // namespace pare

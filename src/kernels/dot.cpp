#include "kernels/dot.h"

#include <algorithm>

namespace pare {

const Dot* find_dot(CpuLevel level, CodecId codec) {
  std::span<const Dot> dots;
  if (level == CpuLevel::kAvx512 || level == CpuLevel::kAmx) dots = avx512_dots();
  const auto found = std::ranges::find(dots, codec, &Dot::codec);
  return found == dots.end() ? nullptr : &*found;
}

}  // namespace pare

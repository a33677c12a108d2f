// How users name GPUs, one way for all parts of the program.
#pragma once

#include <charconv>
#include <string_view>

namespace pare {

// 0 for "cuda", N for "cuda:N"; -1: another word.
inline int cuda_index(std::string_view name) {
  if (name == "cuda") return 0;
  int index = -1;
  if (!name.starts_with("cuda:")) return -1;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + 5, end, index);
  return parsed.ec == std::errc() && parsed.ptr == end ? index : -1;
}

}  // namespace pare

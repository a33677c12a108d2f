// PARE_CHECK: for our own bugs, in release builds too. Never for input (that is Status).
#pragma once

#include <string_view>

namespace pare {
// Writes where and what to stderr, then aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               std::string_view message);
}  // namespace pare

#define PARE_CHECK(condition, message)                                 \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::pare::check_failed(__FILE__, __LINE__, #condition, (message)); \
  } while (0)

// What this machine can, for numbers that mean something on others.
#pragma once

#include "base/threads.h"

namespace pare {

// Bytes per second that all threads of the pool together read from memory: the best of a few
// passes over an array that no cache holds.
double read_bandwidth(ThreadPool& pool);

}  // namespace pare

#include "model/exec_torch/torch_threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <atomic>

namespace pare {
namespace {
std::atomic<int> wanted{0};  // 0: nobody has said
}  // namespace

void set_torch_threads(int threads) {
  wanted = threads;
  follow_thread_setting();
  // An OpenBLAS built on pthreads has a pool of its own, which torch does not know of.
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) {
    set(threads);
  }
}

void follow_thread_setting() {
  thread_local int followed = 0;
  const int now = wanted;
  if (now == 0 || now == followed) return;
  at::set_num_threads(now);
  followed = now;
}

}  // namespace pare

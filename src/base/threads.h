// A fixed pool of threads for loops whose pieces are independent.
//
// Results must not depend on the number of threads: a body writes only what belongs to its
// own index, and reductions are made afterwards in index order.
//
// Loops may be short: a model runs some hundreds of them for one token. After a loop the threads
// look out for the next one for some tens of microseconds before they sleep, and a loop does not
// wait for threads that have not come yet.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace pare {

class ThreadPool {
 public:
  // threads == 0: one per processor that this process may use. Throws std::system_error if the
  // system starts no more.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  // Calls body(i) for every i in [0, count), handed out in order, on all threads; returns when
  // all are done. The calling thread works too. Not re-entrant. What a body throws is thrown here,
  // when no thread is in a body any more; other indices may be left undone.
  template <typename Body>
  void parallel_for(size_t count, const Body& body) {
    run(count, &body, [](const void* b, size_t i) { (*static_cast<const Body*>(b))(i); });
  }

 private:
  struct Impl;
  using Call = void (*)(const void* body, size_t index);
  void run(size_t count, const void* body, Call call);
  std::unique_ptr<Impl> impl_;
};

// Processors that this process may run on (affinity respected), at least 1.
int available_processors();

}  // namespace pare

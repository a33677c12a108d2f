// A fixed pool of threads for loops whose pieces are independent.
//
// Results must not depend on the number of threads: a body writes only what belongs to its
// own index, and reductions are made afterwards in index order.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace pare {

class ThreadPool {
 public:
  // threads == 0: one per processor that this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  // Calls body(i) for every i in [0, count), in any order, on all threads; returns when all
  // are done. The calling thread works too. Not re-entrant.
  void parallel_for(size_t count, const std::function<void(size_t)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Processors that this process may run on (affinity respected), at least 1.
int available_processors();

}  // namespace pare

#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace pare {
namespace {

// Long enough to bridge the serial work between two loops of one token, short enough that an
// idle program costs nothing.
constexpr std::chrono::microseconds kSpin{50};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks again and again until `ready` or until the time is over: the last answer.
template <typename Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    if (const int count = CPU_COUNT(&set); count > 0) return count;
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// `state` says in one word which loop it is, whether threads may still enter it, and how many
// are inside. A thread enters by adding one while the loop is open; the caller closes the loop
// when no index is left and then waits only for those inside. So a thread that comes late, or
// that the system does not run, holds nobody up.
struct ThreadPool::Impl {
  static constexpr uint64_t kInside = 0xffff;      // count of threads inside
  static constexpr uint64_t kOpen = 1 << 16;       // may be entered
  static constexpr uint64_t kLoop = 1 << 17;       // above: number of the loop
  static constexpr uint64_t kStop = ~uint64_t{0};  // the pool is being destroyed

  alignas(64) std::atomic<uint64_t> state{0};
  alignas(64) std::atomic<size_t> next{0};
  alignas(64) size_t count = 0;
  const void* body = nullptr;
  Call call = nullptr;

  std::mutex mutex;  // for sleeping only
  std::condition_variable wake, left;
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::vector<std::thread> workers;
  std::mutex thrown_mutex;
  std::exception_ptr thrown;  // by a body: the first

  ~Impl() {
    state = kStop;
    wake_all();
    for (auto& worker : workers) worker.join();
  }

  void work() {
    try {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) call(body, i);
    } catch (...) {
      std::lock_guard lock(thrown_mutex);
      if (thrown == nullptr) thrown = std::current_exception();
      next.store(count, std::memory_order_relaxed);  // what has not begun is left undone
    }
  }

  // True if there is a loop to enter that this thread has not been in.
  bool something_new(uint64_t seen) const {
    const uint64_t now = state.load();
    return now == kStop || ((now & kOpen) != 0 && now / kLoop != seen);
  }

  void run_worker() {
    uint64_t seen = 0;
    for (;;) {
      if (!spin_until([&] { return something_new(seen); })) {
        std::unique_lock lock(mutex);
        ++sleepers;
        wake.wait(lock, [&] { return something_new(seen); });
        --sleepers;
      }
      uint64_t now = state.load();
      if (now == kStop) return;
      if ((now & kOpen) == 0 || !state.compare_exchange_strong(now, now + 1)) continue;
      seen = now / kLoop;
      work();
      now = state.fetch_sub(1) - 1;
      if ((now & (kOpen | kInside)) == 0 && caller_sleeps.load()) {
        std::lock_guard lock(mutex);
        left.notify_one();
      }
    }
  }

  void wake_all() {
    if (sleepers.load() == 0) return;
    std::lock_guard lock(mutex);
    wake.notify_all();
  }

  bool nobody_inside() const { return (state.load() & kInside) == 0; }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads <= 0) threads = available_processors();
  try {
    for (int i = 1; i < threads; ++i) impl_->workers.emplace_back([this] { impl_->run_worker(); });
  } catch (const std::system_error& error) {
    const auto started = std::to_string(impl_->workers.size() + 1);
    throw std::system_error(error.code(), "no more than " + started + " threads can be started");
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::run(size_t count, const void* body, Call call) {
  if (count == 1 || impl_->workers.empty()) {
    for (size_t i = 0; i < count; ++i) call(body, i);
    return;
  }
  if (count == 0) return;
  Impl& pool = *impl_;
  // Nobody is inside, and nobody can enter: these are the caller's alone until `state` is set.
  pool.body = body;
  pool.call = call;
  pool.count = count;
  pool.next.store(0, std::memory_order_relaxed);
  const uint64_t loop = (pool.state.load() / Impl::kLoop + 1) * Impl::kLoop;
  pool.state = loop | Impl::kOpen;
  pool.wake_all();
  pool.work();
  pool.state.fetch_and(~Impl::kOpen);
  if (!spin_until([&] { return pool.nobody_inside(); })) {
    std::unique_lock lock(pool.mutex);
    pool.caller_sleeps = true;
    pool.left.wait(lock, [&] { return pool.nobody_inside(); });
    pool.caller_sleeps = false;
  }
  if (pool.thrown != nullptr) std::rethrow_exception(std::exchange(pool.thrown, nullptr));
}

}  // namespace pare

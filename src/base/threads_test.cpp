#include "base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace pare {
namespace {

TEST(ThreadPool, CallsEveryIndexOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    // Many short loops one after the other: a worker that wakes late must not run an old body.
    for (size_t count = 0; count < 200; ++count) {
      std::vector<std::atomic<int>> calls(count);
      pool.parallel_for(count, [&](size_t i) { ++calls[i]; });
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(calls[i], 1) << threads << " " << count;
    }
  }
}

TEST(ThreadPool, ReallyUsesItsThreads) {
  ThreadPool pool(3);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::atomic<int> waiting{0};
  pool.parallel_for(3, [&](size_t) {
    // Nobody goes on before all three are in.
    ++waiting;
    while (waiting < 3) std::this_thread::yield();
    std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen.count(std::this_thread::get_id()), 1u);
}

TEST(ThreadPool, WritesAreVisibleAfterwards) {
  ThreadPool pool(4);
  std::vector<size_t> squares(10000);
  pool.parallel_for(squares.size(), [&](size_t i) { squares[i] = i * i; });
  for (size_t i = 0; i < squares.size(); ++i) ASSERT_EQ(squares[i], i * i);
}

TEST(ThreadPool, WakesAfterSleepAndWaitsForSlowOnes) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    // Longer than anybody spins, on both sides.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> done{0};
    pool.parallel_for(3, [&](size_t i) {
      if (i != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++done;
    });
    ASSERT_EQ(done, 3);
  }
}

TEST(ThreadPool, WhatABodyThrowsIsThrownByTheLoop) {
  for (int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      const auto thrower = [&](size_t i) {
        if (i % 7 == 3) throw std::runtime_error("seven");
      };
      EXPECT_THROW(pool.parallel_for(100, thrower), std::runtime_error);
      std::atomic<int> done = 0;
      pool.parallel_for(100, [&](size_t) { ++done; });
      EXPECT_EQ(done, 100);
    }
  }
}

TEST(ThreadPool, IdleThreadsSleep) {
  const auto cpu_seconds = [] {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;  // of the whole process
  };
  ThreadPool pool(4);
  pool.parallel_for(4, [](size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(cpu_seconds() - before, 0.02);
}

TEST(ThreadPool, ZeroMeansOnePerProcessor) {
  EXPECT_GE(available_processors(), 1);
  EXPECT_EQ(ThreadPool(0).threads(), available_processors());
}

}  // namespace
}  // namespace pare

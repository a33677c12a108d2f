#include "kernels/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace pare {

double read_bandwidth(ThreadPool& pool) {
  constexpr size_t kWords = size_t{256} << 17;  // 256 MiB
  constexpr size_t kPiece = size_t{1} << 17;    // 1 MiB
  std::vector<uint64_t> memory(kWords, 1);
  std::atomic<uint64_t> total{0};
  double best = 0.0;
  for (int pass = 0; pass < 4; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(kWords / kPiece, [&](size_t piece) {
      const uint64_t* words = memory.data() + piece * kPiece;
      // Several sums, so that additions do not wait for each other.
      uint64_t sums[16] = {};
      for (size_t i = 0; i < kPiece; i += 16) {
        for (size_t j = 0; j < 16; ++j) sums[j] += words[i + j];
      }
      uint64_t sum = 0;
      for (const uint64_t s : sums) sum += s;
      total += sum;
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / seconds);
  }
  return total > 0 ? best : 0.0;
}

}  // namespace pare

// Speed of the matrix kernels: pare_kernels_bench [threads] [columns | codec ...]
//
// Rows have 2048 columns unless one of the arguments is another number.
// Prints, for each codec and CPU level, products with one token (bytes of weights read per second;
// operations per second from memory and from the cache) and with more tokens (operations per
// second). A product and its sum are two operations. Times are CPU times divided by the threads,
// the least of several runs, so that a busy machine shows less.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "kernels/cpu.h"
#include "kernels/matmul.h"

namespace pare {
namespace {

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The least time of a call, over `runs` calls.
template <class Body>
double least(int runs, int threads, const Body& body) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const double begin = cpu_seconds();
    body();
    best = std::min(best, (cpu_seconds() - begin) / threads);
  }
  return best;
}

// A weight whose rows repeat one encoded row, so that making it takes no time.
PackedTensor make_weight(const Codec& c, int64_t rows, int64_t columns) {
  Rng rng(1);
  std::vector<float> x(256);
  for (float& v : x) v = static_cast<float>(0.02 * rng.normal());
  std::vector<std::byte> row(static_cast<size_t>(c.row_bytes(256)));
  if (c.encode_row != nullptr) {
    c.encode_row(x.data(), nullptr, row.data(), 256);
  } else {
    const Grid& grid = *c.grid;
    std::vector<int32_t> codes(256);
    std::vector<float> values(8);
    SpanParams params;
    grid.fit(x.data(), nullptr, &params);
    for (int i = 0; i < 256; i += grid.round_unit()) {
      codes[static_cast<size_t>(i / grid.round_unit())] =
          grid.round(params, i, x.data() + i, nullptr, values.data());
    }
    grid.pack(params, codes.data(), row.data());
  }
  auto bytes = std::make_shared<std::vector<std::byte>>();
  bytes->resize(static_cast<size_t>(rows * c.row_bytes(columns)));
  for (size_t i = 0; i < bytes->size(); i += row.size()) {
    std::memcpy(bytes->data() + i, row.data(), std::min(row.size(), bytes->size() - i));
  }
  return {.codec = c.id, .shape = {rows, columns}, .bytes = *bytes, .owner = bytes};
}

void run(const Codec& c, int64_t columns, ThreadPool& pool) {
  constexpr int64_t kTokens = 512;
  Rng rng(2);
  std::vector<float> x(kTokens * columns);
  for (float& v : x) v = static_cast<float>(rng.normal());
  const int threads = pool.threads();
  // One token: more weights than any cache holds.
  const int64_t long_rows = (int64_t{96} << 20) / static_cast<int64_t>(c.row_bytes(columns));
  const PackedTensor big = make_weight(c, long_rows, columns);
  std::vector<float> y(static_cast<size_t>(std::max(long_rows, 2048 * kTokens)));
  Activations activations;
  activations.assign(x.data(), 1, columns, columns);
  const double one =
      least(5, threads, [&] { matmul(big, activations, nullptr, y.data(), long_rows, pool); });
  const PackedTensor small = make_weight(c, 2048, columns);
  const double cached =
      least(20, threads, [&] { matmul(small, activations, nullptr, y.data(), 2048, pool); });
  std::printf("%-8s %-7s 1: %6.2f GB/s %6.1f GOP/s, cached %6.1f;", c.name,
              cpu_level_name(cpu_level()), 1e-9 * static_cast<double>(big.bytes.size()) / one,
              2e-9 * static_cast<double>(long_rows * columns) / one,
              2e-9 * 2048 * columns / cached);
  for (int64_t tokens : std::initializer_list<int64_t>{2, 4, 8, 16, 32, 64, kTokens}) {
    activations.assign(x.data(), tokens, columns, columns);
    const double many = least(tokens < 64 ? 10 : 5, threads, [&] {
      activations.assign(x.data(), tokens, columns, columns);
      matmul(small, activations, nullptr, y.data(), 2048, pool);
    });
    std::printf("  %ld: %.1f", static_cast<long>(tokens),
                2e-9 * 2048 * columns * static_cast<double>(tokens) / many);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  using namespace pare;
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  int64_t columns = 2048;
  bool all = true;
  for (int i = 2; i < argc; ++i) {
    const int64_t number = std::atoll(argv[i]);
    number > 0 ? void(columns = number) : void(all = false);
    if (number <= 0 && find_codec(argv[i]) == nullptr) {
      std::fprintf(stderr, "pare_kernels_bench: %s: no such type\n", argv[i]);
      return 2;
    }
  }
  for (const Codec& c : all_codecs()) {
    if (c.grid == nullptr && !c.is_float()) continue;
    const bool named = std::any_of(argv + std::min(argc, 2), argv + argc,
                                   [&](const char* name) { return find_codec(name) == &c; });
    if ((!all && !named) || !c.divides(columns)) continue;
    for (CpuLevel level : cpu_levels()) {
      if (level == CpuLevel::kRef) continue;
      force_cpu_level(level);
      run(c, columns, pool);
    }
  }
}

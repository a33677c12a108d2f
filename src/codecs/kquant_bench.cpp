// Speed of the K-quants and IQ4 types on one thread, in weights per second.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"

namespace pare {
namespace {

constexpr int64_t kColumns = 4096;

struct Row {
  std::vector<float> x, importance;
  Row() : x(kColumns), importance(kColumns) {
    Rng rng(1);
    for (float& v : x) v = static_cast<float>(0.02 * rng.normal());
    for (float& v : importance) v = static_cast<float>(std::exp(rng.normal()));
  }
};

void report(benchmark::State& state) {
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(kColumns),
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

void encode(benchmark::State& state, const Codec* c, bool with_importance) {
  const Row row;
  std::vector<std::byte> out(c->row_bytes(kColumns));
  for (auto _ : state) {
    c->encode_row(row.x.data(), with_importance ? row.importance.data() : nullptr, out.data(),
                  kColumns);
    benchmark::ClobberMemory();
  }
  report(state);
}

void decode(benchmark::State& state, const Codec* c) {
  Row row;
  std::vector<std::byte> bytes(c->row_bytes(kColumns));
  c->encode_row(row.x.data(), nullptr, bytes.data(), kColumns);
  for (auto _ : state) {
    c->decode_row(bytes.data(), row.x.data(), kColumns);
    benchmark::ClobberMemory();
  }
  report(state);
}

// What a solver does at one span of columns of one row: fit, then round column by column.
void fit_and_round(benchmark::State& state, const Codec* c) {
  const Row row;
  const Grid& grid = *c->grid;
  for (auto _ : state) {
    SpanParams params;
    for (int64_t i = 0; i < kColumns; i += grid.fit_span()) {
      grid.fit(row.x.data() + i, row.importance.data() + i, &params);
      for (int column = 0; column < grid.fit_span(); ++column) {
        float value;
        benchmark::DoNotOptimize(
            grid.round(params, column, row.x.data() + i + column, nullptr, &value));
      }
    }
  }
  report(state);
}

const bool kRegistered = [] {
  for (const char* name : {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"}) {
    const Codec* c = find_codec(name);
    const std::string n = name;
    benchmark::RegisterBenchmark(("encode/" + n).c_str(), encode, c, false);
    benchmark::RegisterBenchmark(("encode_weighted/" + n).c_str(), encode, c, true);
    benchmark::RegisterBenchmark(("decode/" + n).c_str(), decode, c);
    benchmark::RegisterBenchmark(("fit_and_round/" + n).c_str(), fit_and_round, c);
  }
  return true;
}();

}  // namespace
}  // namespace pare

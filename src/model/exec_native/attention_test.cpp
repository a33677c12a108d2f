// Attention through caches of every form against the definition, in double, on the values that
// the codec of that form gives back.
#include "model/exec_native/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/simd_targets.h"
#include "kernels/core.h"

namespace pare {
namespace {

struct Case {
  int heads, kv_heads, head_dim, value_dim;
  int64_t position, tokens;
  int64_t window = 0;
  float softcap = 0.0f;
};

constexpr Case kCases[] = {
    {1, 1, 8, 8, 0, 1},        {3, 1, 64, 64, 0, 40},     {8, 2, 32, 64, 5, 17},
    {9, 3, 64, 32, 300, 1},    {4, 4, 96, 96, 700, 3},    {2, 1, 32, 32, 1000, 1, 100},
    {4, 2, 32, 32, 60, 70, 9}, {4, 1, 64, 64, 0, 130},    {6, 3, 64, 64, 515, 2, 400, 3.0f},
    {2, 2, 20, 12, 30, 9},     {5, 1, 7, 5, 100, 66, 33}, {8, 1, 128, 128, 250, 8, 0, 20.0f},
    {7, 1, 64, 64, 300, 1},    {8, 1, 256, 256, 100, 1},  {6, 1, 80, 80, 130, 2},
    {5, 1, 32, 48, 99, 1},     {8, 8, 128, 160, 63, 1},
};

struct Problem {
  std::vector<float> q, k, v;  // k, v: [position][kv_heads * dim], as the cache gives them back
  std::unique_ptr<KvCache> cache;
};

// What is left of a row once it was packed.
void round_trip(CodecId form, float* row, int64_t n) {
  const Codec& c = codec(form);
  std::vector<std::byte> packed(c.row_bytes(n));
  c.encode_row(row, nullptr, packed.data(), n);
  c.decode_row(packed.data(), row, n);
}

Problem make_problem(const Case& c, CodecId form) {
  Rng rng(7);
  Problem p;
  const int64_t length = c.position + c.tokens;
  auto cache = KvCache::create({{c.kv_heads, c.head_dim, c.value_dim}}, form, length + 3);
  EXPECT_TRUE(cache.ok()) << cache.status().message();
  p.cache = std::move(cache).value();
  const auto fill = [&](std::vector<float>* x, int64_t n) {
    x->resize(static_cast<size_t>(n));
    for (float& v : *x) v = static_cast<float>(rng.normal());
  };
  fill(&p.q, c.tokens * c.heads * c.head_dim);
  fill(&p.k, length * c.kv_heads * c.head_dim);
  fill(&p.v, length * c.kv_heads * c.value_dim);
  for (int64_t i = length - 1; i >= 0; --i) {  // any order
    for (int64_t h = 0; h < c.kv_heads; ++h) {
      float* k = p.k.data() + (i * c.kv_heads + h) * c.head_dim;
      float* v = p.v.data() + (i * c.kv_heads + h) * c.value_dim;
      p.cache->store(0, h, i, k, v);
      round_trip(form, k, c.head_dim);
      round_trip(form, v, c.value_dim);
    }
  }
  return p;
}

OpAttributes attributes(const Case& c) {
  OpAttributes attr;
  attr.heads = c.heads;
  attr.kv_heads = c.kv_heads;
  attr.head_dim = c.head_dim;
  attr.value_dim = c.value_dim;
  attr.scale = 0.4f;
  attr.softcap = c.softcap;
  attr.window = c.window;
  return attr;
}

std::vector<double> expected(const Case& c, const Problem& p, const OpAttributes& attr) {
  std::vector<double> out(static_cast<size_t>(c.tokens * c.heads * c.value_dim));
  for (int64_t t = 0; t < c.tokens; ++t) {
    for (int64_t h = 0; h < c.heads; ++h) {
      const int64_t at = c.position + t, kv = h / (c.heads / c.kv_heads);
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, at - c.window + 1) : 0;
      double sum = 0;
      double* row = out.data() + (t * c.heads + h) * c.value_dim;
      for (int64_t j = first; j <= at; ++j) {
        double score = 0;
        for (int64_t i = 0; i < c.head_dim; ++i) {
          score += double{p.q[static_cast<size_t>((t * c.heads + h) * c.head_dim + i)]} *
                   p.k[static_cast<size_t>((j * c.kv_heads + kv) * c.head_dim + i)];
        }
        score *= attr.scale;
        if (c.softcap != 0.0f) score = c.softcap * std::tanh(score / c.softcap);
        const double weight = std::exp(score);
        sum += weight;
        for (int64_t i = 0; i < c.value_dim; ++i) {
          row[i] += weight * p.v[static_cast<size_t>((j * c.kv_heads + kv) * c.value_dim + i)];
        }
      }
      for (int64_t i = 0; i < c.value_dim; ++i) row[i] /= sum;
    }
  }
  return out;
}

std::vector<float> run(const Case& c, const Problem& p, int threads) {
  ThreadPool pool(threads);
  const int64_t stride = c.heads * c.value_dim + 3;
  std::vector<float> out(static_cast<size_t>(c.tokens * stride)), scratch;
  attention(attributes(c), *p.cache, 0,
            {.q = p.q.data(),
             .q_stride = int64_t{c.heads} * c.head_dim,
             .tokens = c.tokens,
             .position = c.position},
            out.data(), stride, &scratch, pool);
  return out;
}

void expect_definition(const Case& c, CodecId form) {
  const Problem p = make_problem(c, form);
  const auto want = expected(c, p, attributes(c));
  const int64_t width = c.heads * c.value_dim, stride = width + 3;
  // Long heads make large scores here, whose rounding the exponentials magnify.
  const double rounding = 1e-7 * std::max(100, c.head_dim);
  const auto check = [&](const std::string& target, double tolerance) {
    SCOPED_TRACE(fmt::format("{} {} {} heads of {}, {} after {}", target, codec(form).name, c.heads,
                             c.head_dim, c.tokens, c.position));
    const auto found = run(c, p, 2);
    for (int64_t t = 0; t < c.tokens; ++t) {
      for (int64_t i = 0; i < width; ++i) {
        ASSERT_NEAR(found[static_cast<size_t>(t * stride + i)],
                    want[static_cast<size_t>(t * width + i)], tolerance)
            << t << " " << i;
      }
    }
  };
  for (CpuLevel level : cpu_levels()) {
    if (core(level).bf16 == nullptr) continue;
    force_cpu_level(level);
    // Products of bfloat16 in two parts leave 2^-17 of each factor.
    check(cpu_level_name(level), (form == CodecId::kF32 ? 1 : 5) * rounding);
  }
  force_cpu_level(cpu_levels().back());
  for (const std::string& target : simd_targets()) {
    limit_simd(target);
    check(target, rounding);
  }
  limit_simd("");
  force_cpu_level(cpu_levels().front());
}

TEST(Attention, IsItsDefinition) {
  for (const CodecId form : kv_forms()) {
    for (const Case& c : kCases) {
      if (codec(form).divides(c.head_dim) && codec(form).divides(c.value_dim)) {
        expect_definition(c, form);
      }
    }
  }
}

TEST(Attention, ThreadsChangeNothing) {
  for (const Case& c : kCases) {
    const Problem p = make_problem(c, CodecId::kF32);
    EXPECT_EQ(run(c, p, 1), run(c, p, 3));
  }
}

// What drafts rely on: a token's result is that of a pass of its own, bit for bit, with as many
// rows of queries as are read from the cache and with more.
void expect_alike(CodecId form, int heads, int kv_heads, int tokens, int picked,
                  int64_t window = 0) {
  const Case among{heads, kv_heads, 64, 64, 697, tokens, window};
  const Case alone{heads, kv_heads, 64, 64, 697 + picked, 1, window};
  const Problem p = make_problem(among, form);
  Problem one = make_problem(among, form);
  const int64_t width = heads * 64;
  one.q.assign(p.q.begin() + picked * width, p.q.begin() + (picked + 1) * width);
  const auto found = run(alone, one, 2), all = run(among, p, 2);
  const auto row = all.begin() + picked * (width + 3);
  EXPECT_TRUE(std::equal(row, row + width, found.begin()))
      << codec(form).name << " " << heads << "/" << kv_heads << " " << tokens;
}

TEST(Attention, ATokenSeesTheSameAloneAndAmongOthers) {
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    limit_simd(target);
    for (const CodecId form : kv_forms()) {
      expect_alike(form, 9, 3, 5, 3);
      expect_alike(form, 9, 3, kAlikeTokens, 6);
      expect_alike(form, 2, 2, kAlikeTokens, 0);
      expect_alike(form, 8, 1, 2, 1);
      expect_alike(form, 14, 2, 7, 5);
      expect_alike(form, 9, 3, kAlikeTokens, 7, 200);
      expect_alike(form, 8, 1, kAlikeTokens, 4, 190);
    }
  }
  limit_simd("");
}

// A weight of zero would hide it.
TEST(Attention, NanStaysNan) {
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    limit_simd(target);
    for (const int64_t tokens : {1, 40}) {
      const Case c{4, 1, 64, 64, 70, tokens};
      Problem p = make_problem(c, CodecId::kF32);
      std::vector<float> key(64, NAN), value(64, 1.0f);
      for (const int64_t at : {3, 60, 69}) {
        Problem broken = make_problem(c, CodecId::kF32);
        broken.cache->store(0, 0, at, key.data(), value.data());
        for (const auto& [problem, finite] : {std::pair{&p, true}, {&broken, false}}) {
          const auto found = run(c, *problem, 1);
          for (int64_t t = 0; t < tokens; ++t) {
            for (int64_t i = 0; i < 4 * 64; ++i) {
              ASSERT_EQ(std::isfinite(found[static_cast<size_t>(t * (4 * 64 + 3) + i)]), finite)
                  << at << " " << t << " " << i;
            }
          }
        }
      }
    }
  }
  limit_simd("");
}

TEST(KvCache, RefusesWhatCannotBe) {
  const auto code = [](KvCache::Layer layer, CodecId form, int64_t capacity) {
    return KvCache::create({layer}, form, capacity).status().code();
  };
  EXPECT_EQ(code({2, 64, 64}, CodecId::kQ8_0, 100), StatusCode::kOk);
  EXPECT_EQ(code({2, 64, 64}, CodecId::kQ4_K, 100), StatusCode::kUnsupported);
  EXPECT_EQ(code({2, 48, 64}, CodecId::kQ8_0, 100), StatusCode::kUnsupported);
  EXPECT_EQ(code({2, 64, 64}, CodecId::kF16, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({65536, 65536, 65536}, CodecId::kF32, int64_t{1} << 31),
            StatusCode::kInvalidArgument);
  const auto refused = KvCache::create({{1024, 1024, 1024}}, CodecId::kF16, int64_t{1} << 30);
  EXPECT_NE(refused.status().message().find("4194304.0 GiB"), std::string::npos)
      << refused.status().message();
}

}  // namespace
}  // namespace pare

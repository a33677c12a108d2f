#include "model/exec_native/vector_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "base/rng.h"
#include "codecs/simd_targets.h"

namespace pare {
namespace {

std::vector<float> normals(int64_t n, uint64_t seed, double scale = 1.0) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(scale * rng.normal());
  return x;
}

// On every instruction set of this machine, for lengths with all tails.
void on_all(const std::function<void(int64_t n)>& check) {
  for (const std::string& target : simd_targets()) {
    limit_simd(target);
    for (const int64_t n : {1, 3, 7, 8, 15, 16, 17, 31, 64, 65, 100, 576}) {
      SCOPED_TRACE(target + " " + std::to_string(n));
      check(n);
    }
  }
  limit_simd("");
}

void expect_near(const std::vector<float>& found, const std::function<double(size_t)>& expected,
                 double tolerance = 2e-6) {
  for (size_t i = 0; i < found.size(); ++i) {
    const double e = expected(i);
    ASSERT_NEAR(found[i], e, tolerance * std::max(1.0, std::abs(e))) << "at " << i;
  }
}

TEST(VectorOps, Norms) {
  on_all([](int64_t n) {
    const auto x = normals(n, 1, 3.0), w = normals(n, 2), b = normals(n, 3);
    const auto count = static_cast<double>(n);
    double squares = 0, mean = 0, variance = 0;
    for (const float v : x) squares += double{v} * v, mean += v / count;
    for (const float v : x) variance += (v - mean) * (v - mean) / count;
    std::vector<float> out(x.size());
    rms_norm(x.data(), w.data(), 1e-5f, n, out.data());
    const double rms = 1.0 / std::sqrt(squares / count + 1e-5);
    expect_near(out, [&](size_t i) { return x[i] * rms * w[i]; });
    layer_norm(x.data(), w.data(), b.data(), 1e-5f, n, out.data());
    const double deviation = 1.0 / std::sqrt(variance + 1e-5);
    expect_near(
        out, [&](size_t i) { return (x[i] - mean) * deviation * w[i] + b[i]; }, 1e-5);
    auto in_place = x;
    layer_norm(in_place.data(), w.data(), nullptr, 1e-5f, n, in_place.data());
    expect_near(
        in_place, [&](size_t i) { return double{out[i]} - b[i]; }, 1e-5);
  });
}

TEST(VectorOps, ElementByElement) {
  on_all([](int64_t n) {
    const auto a = normals(n, 1, 4.0), b = normals(n, 2);
    std::vector<float> out(a.size());
    add(a.data(), b.data(), n, out.data());
    expect_near(out, [&](size_t i) { return double{a[i]} + b[i]; });
    multiply(a.data(), b.data(), n, out.data());
    expect_near(out, [&](size_t i) { return double{a[i]} * b[i]; });
    scale(a.data(), 0.3f, n, out.data());
    expect_near(out, [&](size_t i) { return a[i] * double{0.3f}; });
    softcap(a.data(), 5.0f, n, out.data());
    expect_near(out, [&](size_t i) { return 5.0 * std::tanh(a[i] / 5.0); });
    const auto silu = [](double x) { return x / (1.0 + std::exp(-x)); };
    const auto tanh_form = [](double x) {
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    };
    const auto erf_form = [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); };
    for (const auto& [kind, f] : std::initializer_list<std::pair<OpKind, double (*)(double)>>{
             {OpKind::kSilu, silu}, {OpKind::kGeluTanh, tanh_form}, {OpKind::kGeluErf, erf_form}}) {
      activate(kind, a.data(), nullptr, n, out.data());
      expect_near(out, [&, f = f](size_t i) { return f(a[i]); });
      activate(kind, a.data(), b.data(), n, out.data());
      expect_near(out, [&, f = f](size_t i) { return f(a[i]) * b[i]; });
    }
  });
}

TEST(VectorOps, ActivationsOfExtremesAreFinite) {
  on_all([](int64_t n) {
    for (const float extreme : {-1e30f, -1000.0f, -89.0f, 89.0f, 1000.0f, 1e30f}) {
      const std::vector<float> x(static_cast<size_t>(n), extreme);
      std::vector<float> out(x.size());
      activate(OpKind::kSilu, x.data(), nullptr, n, out.data());
      expect_near(out, [&](size_t) { return extreme > 0 ? extreme : 0.0; });
      if (std::abs(extreme) > 1e10f) continue;  // the cube leaves floats, as it does in torch
      activate(OpKind::kGeluTanh, x.data(), nullptr, n, out.data());
      expect_near(out, [&](size_t) { return extreme > 0 ? extreme : 0.0; });
    }
  });
}

TEST(VectorOps, Rope) {
  for (const std::string& target : simd_targets()) {
    limit_simd(target);
    for (const int64_t pairs : {1, 3, 8, 16, 20, 64}) {
      for (const int64_t rest : {0, 5}) {
        const int64_t heads = 3, head_dim = 2 * pairs + rest;
        const auto x = normals(heads * head_dim, 1), c = normals(pairs, 2), s = normals(pairs, 3);
        std::vector<float> out(x.size());
        for (const RopeLayout layout : {RopeLayout::kHalves, RopeLayout::kInterleaved}) {
          SCOPED_TRACE(target + " " + std::to_string(pairs));
          rope(x.data(), c.data(), s.data(), pairs, layout, heads, head_dim, out.data());
          expect_near(out, [&](size_t i) -> double {
            const auto column = static_cast<int64_t>(i) % head_dim;
            const size_t head = i - static_cast<size_t>(column);
            if (column >= 2 * pairs) return x[i];
            const bool halves = layout == RopeLayout::kHalves;
            const auto p = static_cast<size_t>(halves ? column % pairs : column / 2);
            const bool second = halves ? column >= pairs : column % 2 == 1;
            const double a = x[head + (halves ? p : 2 * p)];
            const double b = x[head + (halves ? p + static_cast<size_t>(pairs) : 2 * p + 1)];
            return second ? b * c[p] + a * s[p] : a * c[p] - b * s[p];
          });
          auto in_place = x;
          rope(in_place.data(), c.data(), s.data(), pairs, layout, heads, head_dim,
               in_place.data());
          EXPECT_EQ(in_place, out);
        }
      }
    }
  }
  limit_simd("");
}

}  // namespace
}  // namespace pare

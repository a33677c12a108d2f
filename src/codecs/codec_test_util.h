// Helpers of the codec tests: rows of known distributions, encoding through a grid, errors.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "codecs/codec.h"

namespace pare::codec_test {

inline std::vector<float> normal_row(Rng& rng, size_t n, double sigma = 1.0) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(sigma * rng.normal());
  return x;
}

// Log-normal: a few columns matter much more than the rest, as in activations.
inline std::vector<float> importance_row(Rng& rng, size_t n) {
  std::vector<float> w(n);
  for (float& v : w) v = static_cast<float>(std::exp(1.5 * rng.normal()));
  return w;
}

inline std::vector<std::byte> random_bytes(Rng& rng, size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng.next());
  return bytes;
}

// fit, round every unit, pack: what a solver does that changes nothing in between.
inline std::vector<std::byte> encode_by_grid(const Codec& c, const std::vector<float>& x,
                                             const float* importance) {
  const Grid& grid = *c.grid;
  const size_t span = static_cast<size_t>(grid.fit_span());
  const size_t unit = static_cast<size_t>(grid.round_unit());
  const size_t span_bytes = static_cast<size_t>(c.row_bytes(grid.fit_span()));
  std::vector<std::byte> out(static_cast<size_t>(c.row_bytes(static_cast<int64_t>(x.size()))));
  std::vector<int32_t> codes(span / unit);
  std::vector<float> values(unit);
  for (size_t s = 0; s < x.size() / span; ++s) {
    const float* in = x.data() + s * span;
    const float* w = importance != nullptr ? importance + s * span : nullptr;
    SpanParams params;
    grid.fit(in, w, &params);
    for (size_t u = 0; u < codes.size(); ++u) {
      codes[u] = grid.round(params, static_cast<int>(u * unit), in + u * unit,
                            w != nullptr ? w + u * unit : nullptr, values.data());
    }
    grid.pack(params, codes.data(), out.data() + s * span_bytes);
  }
  return out;
}

inline std::vector<std::byte> encode(const Codec& c, const std::vector<float>& x,
                                     const float* importance) {
  if (c.encode_row == nullptr) return encode_by_grid(c, x, importance);
  std::vector<std::byte> out(static_cast<size_t>(c.row_bytes(static_cast<int64_t>(x.size()))));
  c.encode_row(x.data(), importance, out.data(), static_cast<int64_t>(x.size()));
  return out;
}

inline std::vector<float> decode(const Codec& c, const std::vector<std::byte>& bytes, size_t n) {
  std::vector<float> out(n);
  c.decode_row(bytes.data(), out.data(), static_cast<int64_t>(n));
  return out;
}

// Root of sum w (x - y)^2 / sum w x^2.
inline double relative_error(const std::vector<float>& x, const std::vector<float>& y,
                             const float* weights = nullptr) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double w = weights != nullptr ? static_cast<double>(weights[i]) : 1.0;
    const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    error += w * e * e;
    norm += w * static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(error / norm);
}

}  // namespace pare::codec_test

#include "codecs/lattice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/half.h"

namespace pare {
namespace {

using Codes = std::array<int32_t, LatticeFormat::kUnits>;

void set_scales(const LatticeFormat& format, SpanParams* params) {
  for (int g = 0; g < LatticeFormat::kBlockLen / format.group_len; ++g) {
    const size_t i = static_cast<size_t>(g);
    const float steps = format.scale_offset + static_cast<float>(params->scale_code[i]);
    params->scale[i] = params->d * steps * format.scale_factor;
  }
}

int32_t nearest_scaled(const LatticeFormat& format, float scale, int shift, const float* x,
                       const float* weights, float* levels) {
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  float scaled[LatticeFormat::kUnit];
  for (int v = 0; v < LatticeFormat::kUnit; ++v) scaled[v] = x[v] * inverse;
  const int32_t code = format.nearest(scaled, shift, weights);
  format.levels(code, shift, levels);
  return code;
}

// What one group gives at one scale: its error, and the sums from which d is refitted.
struct GroupFit {
  double error = 0.0, xl = 0.0, ll = 0.0;  // sum w (x - s l)^2, sum w x l, sum w l^2
};

GroupFit try_group(const LatticeFormat& format, float scale, int shift, const float* x,
                   const float* weights) {
  GroupFit fit;
  for (int c = 0; c < format.group_len; c += LatticeFormat::kUnit) {
    float levels[LatticeFormat::kUnit];
    nearest_scaled(format, scale, shift, x + c, weights + c, levels);
    for (int v = 0; v < LatticeFormat::kUnit; ++v) {
      const double w = weights[c + v];
      const double error = static_cast<double>(x[c + v]) - static_cast<double>(scale) * levels[v];
      fit.error += w * error * error;
      fit.xl += w * x[c + v] * levels[v];
      fit.ll += w * levels[v] * levels[v];
    }
  }
  return fit;
}

}  // namespace

void decode_lattice(const LatticeFormat& format, const std::byte* in, float* out, int64_t n) {
  SpanParams params;
  Codes codes;
  for (; n > 0; n -= LatticeFormat::kBlockLen, in += format.block_bytes) {
    format.load(in, &params, codes.data());
    set_scales(format, &params);
    for (int u = 0; u < LatticeFormat::kUnits; ++u, out += LatticeFormat::kUnit) {
      const size_t g = static_cast<size_t>(u * LatticeFormat::kUnit / format.group_len);
      format.levels(codes[static_cast<size_t>(u)], params.offset_code[g], out);
      for (int v = 0; v < LatticeFormat::kUnit; ++v) out[v] *= params.scale[g];
    }
  }
}

// Alternates between the best scale code and shift of every group under d, and the best d
// under those codes; starts where the largest weight meets the largest level at the largest
// scale. Plain on purpose: encoders for these formats come with their own search.
void LatticeGrid::fit(const float* x, const float* importance, SpanParams* params) const {
  *params = SpanParams{};
  constexpr int kLen = LatticeFormat::kBlockLen;
  std::array<float, kLen> weights;
  float total = 0.0f;
  float max = 0.0f;
  for (int i = 0; i < kLen; ++i) {
    weights[static_cast<size_t>(i)] = importance != nullptr ? importance[i] : 1.0f;
    total += weights[static_cast<size_t>(i)];
    max = std::max(max, std::fabs(x[i]));
  }
  if (!(total > 0.0f)) weights.fill(1.0f);
  if (!(max > 0.0f)) return;

  const float top = (format_.scale_offset + static_cast<float>(format_.scale_codes - 1)) *
                    format_.scale_factor * format_.max_level;
  float d = max / top;
  double best_error = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 3; ++pass) {
    SpanParams trial;
    trial.d = fp16_to_float(float_to_fp16(std::min(d, 65504.0f)));
    double error = 0.0;
    double xl = 0.0;
    double ll = 0.0;
    for (int g = 0; g < kLen / format_.group_len; ++g) {
      const int first = g * format_.group_len;
      GroupFit best;
      best.error = std::numeric_limits<double>::infinity();
      float best_steps = 0.0f;
      for (int shift = 0; shift <= (format_.has_shift ? 1 : 0); ++shift) {
        for (int code = 0; code < format_.scale_codes; ++code) {
          const float steps =
              (format_.scale_offset + static_cast<float>(code)) * format_.scale_factor;
          const GroupFit fit =
              try_group(format_, trial.d * steps, shift, x + first, weights.data() + first);
          if (fit.error >= best.error) continue;
          best = fit;
          best_steps = steps;
          trial.scale_code[static_cast<size_t>(g)] = static_cast<int16_t>(code);
          trial.offset_code[static_cast<size_t>(g)] = static_cast<int16_t>(shift);
        }
      }
      error += best.error;
      xl += best.xl * best_steps;
      ll += best.ll * best_steps * best_steps;
    }
    if (error >= best_error || !(ll > 0.0)) break;
    best_error = error;
    *params = trial;
    d = static_cast<float>(xl / ll);
  }
  set_scales(format_, params);
}

int32_t LatticeGrid::round(const SpanParams& params, int column, const float* x,
                           const float* importance, float* values) const {
  static constexpr float kOnes[LatticeFormat::kUnit] = {1, 1, 1, 1, 1, 1, 1, 1};
  const size_t g = static_cast<size_t>(column / format_.group_len);
  // A unit without any importance is rounded as if all its columns had the same.
  const bool weighted = importance != nullptr &&
                        std::accumulate(importance, importance + LatticeFormat::kUnit, 0.0f) > 0.0f;
  const int32_t code = nearest_scaled(format_, params.scale[g], params.offset_code[g], x,
                                      weighted ? importance : kOnes, values);
  for (int v = 0; v < LatticeFormat::kUnit; ++v) values[v] *= params.scale[g];
  return code;
}

void LatticeGrid::values(const SpanParams& params, int column, int32_t code, float* out) const {
  const size_t g = static_cast<size_t>(column / format_.group_len);
  format_.levels(code, params.offset_code[g], out);
  for (int v = 0; v < LatticeFormat::kUnit; ++v) out[v] *= params.scale[g];
}

void LatticeGrid::pack(const SpanParams& params, const int32_t* codes, std::byte* out) const {
  format_.store(params, codes, out);
}

void LatticeGrid::unpack(const std::byte* in, SpanParams* params, int32_t* codes) const {
  *params = SpanParams{};
  format_.load(in, params, codes);
  set_scales(format_, params);
}

}  // namespace pare

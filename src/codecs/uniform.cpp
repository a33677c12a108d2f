#include "codecs/uniform.h"

#include <algorithm>

#include "codecs/uniform_fit.h"

namespace pare {
namespace {

void expand(const UniformFormat& format, const UniformBlock& block, float* out) {
  for (int i = 0; i < format.block_len; ++i) out[i] = block.d * block.levels[i];
  if (format.fit == UniformFit::kAffine) {
    for (int i = 0; i < format.block_len; ++i) out[i] += block.m;
  }
}

}  // namespace

void decode_uniform(const UniformFormat& format, const std::byte* in, float* out, int64_t n) {
  UniformBlock block;
  for (; n > 0; n -= format.block_len, in += format.block_bytes, out += format.block_len) {
    format.load(in, &block);
    expand(format, block, out);
  }
}

void encode_uniform(const UniformFormat& format, const float* in, const float* importance,
                    std::byte* out, int64_t n) {
  constexpr int64_t kAtOnce = 16;
  UniformBlock blocks[kAtOnce];
  for (int64_t left = n / format.block_len; left > 0;) {
    const int64_t count = std::min(left, kAtOnce);
    fit_uniform(format, in, importance, static_cast<int>(count), blocks);
    for (int64_t b = 0; b < count; ++b, out += format.block_bytes) format.store(blocks[b], out);
    in += count * format.block_len;
    if (importance != nullptr) importance += count * format.block_len;
    left -= count;
  }
}

void UniformGrid::fit(const float* x, const float* importance, SpanParams* params) const {
  UniformBlock block;
  fit_uniform(format_, x, importance, 1, &block);
  *params = SpanParams{};
  params->d = params->scale[0] = block.d;
  params->dmin = params->offset[0] = block.m;
}

int32_t UniformGrid::round(const SpanParams& params, int column, const float* x,
                           const float* /*importance*/, float* values_out) const {
  const int level = nearest_level(format_, params.scale[0], params.offset[0], *x);
  values(params, column, level, values_out);
  return level;
}

void UniformGrid::values(const SpanParams& params, int /*column*/, int32_t code, float* out) const {
  const float value = params.scale[0] * static_cast<float>(code);
  *out = format_.fit == UniformFit::kAffine ? value + params.offset[0] : value;
}

void UniformGrid::pack(const SpanParams& params, const int32_t* codes, std::byte* out) const {
  UniformBlock block;
  block.d = params.d;
  block.m = params.dmin;
  for (int i = 0; i < format_.block_len; ++i) block.levels[i] = static_cast<int8_t>(codes[i]);
  format_.store(block, out);
}

void UniformGrid::unpack(const std::byte* in, SpanParams* params, int32_t* codes) const {
  UniformBlock block;
  format_.load(in, &block);
  *params = SpanParams{};
  params->d = params->scale[0] = block.d;
  params->dmin = params->offset[0] = block.m;
  for (int i = 0; i < format_.block_len; ++i) codes[i] = block.levels[i];
}

}  // namespace pare

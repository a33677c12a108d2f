// Levels to values and values to levels, for formats whose levels are evenly spaced.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kquant_levels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/kquant-inl.h"
#include "codecs/kquant.h"

HWY_BEFORE_NAMESPACE();
namespace pare::kquant {
namespace HWY_NAMESPACE {

void apply_levels(const int8_t* levels, const SpanParams& params, int group_len, int n,
                  float* out) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const hn::Rebind<int8_t, Floats> di8;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int begin = 0; begin < n; begin += group_len) {
    const size_t g = static_cast<size_t>(begin / group_len);
    const V scale = hn::Set(d, params.scale[g]);
    const V offset = hn::Set(d, params.offset[g]);
    for (int i = begin; i < begin + group_len; i += lanes) {
      const V level = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(di8, levels + i)));
      hn::StoreU(hn::Add(hn::Mul(scale, level), offset), d, out + i);
    }
  }
}

void round_levels(const float* x, const SpanParams& params, int group_len, int min_level,
                  int max_level, int n, int8_t* levels) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const hn::Rebind<int8_t, Floats> di8;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const V lo = hn::Set(d, static_cast<float>(min_level));
  const V hi = hn::Set(d, static_cast<float>(max_level));
  for (int begin = 0; begin < n; begin += group_len) {
    const size_t g = static_cast<size_t>(begin / group_len);
    const float step = params.scale[g];
    const V inv = hn::Set(d, step == 0.0f ? 0.0f : 1.0f / step);
    const V offset = hn::Set(d, params.offset[g]);
    for (int i = begin; i < begin + group_len; i += lanes) {
      const V y = hn::Mul(hn::Sub(hn::LoadU(d, x + i), offset), inv);
      const auto level = hn::ConvertTo(di, clamp(hn::Round(y), lo, hi));
      hn::StoreU(hn::DemoteTo(di8, level), di8, levels + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace pare::kquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::kquant {

HWY_EXPORT(apply_levels);
HWY_EXPORT(round_levels);

void apply_levels(const int8_t* levels, const SpanParams& params, int group_len, int n,
                  float* out) {
  HWY_DYNAMIC_DISPATCH(apply_levels)(levels, params, group_len, n, out);
}

void round_levels(const float* x, const SpanParams& params, int group_len, int min_level,
                  int max_level, int n, int8_t* levels) {
  HWY_DYNAMIC_DISPATCH(round_levels)
  (x, params, group_len, min_level, max_level, n, levels);
}

void expand_affine(int groups, SpanParams* params) {
  for (size_t g = 0; g < static_cast<size_t>(groups); ++g) {
    params->scale[g] = params->d * static_cast<float>(params->scale_code[g]);
    params->offset[g] = -(params->dmin * static_cast<float>(params->offset_code[g]));
  }
}

void expand_symmetric(int groups, SpanParams* params) {
  for (size_t g = 0; g < static_cast<size_t>(groups); ++g) {
    params->scale[g] = params->d * static_cast<float>(params->scale_code[g]);
    params->offset[g] = -0.0f;
  }
}

}  // namespace pare::kquant
#endif  // HWY_ONCE

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cpp"
#include "kernels/quantize.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

void quantize(const float* x, int64_t columns, int8_t* q, float* scale, int32_t* half_sums) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  for (int64_t c = 0; c < columns; c += 32, x += 32, q += 32) {
    auto most = hn::Zero(d);
    for (size_t i = 0; i < 32; i += lanes) most = hn::Max(most, hn::Abs(hn::LoadU(d, x + i)));
    const float largest = hn::GetLane(hn::MaxOfLanes(d, most));
    const auto inverse = hn::Set(d, largest == 0.0f ? 0.0f : 127.0f / largest);
    *scale++ = largest / 127.0f;
    const auto highest = hn::Set(d, 127.0f);
    for (size_t half = 0; half < 32; half += 16) {
      auto sum = hn::Zero(di);
      for (size_t i = half; i < half + 16; i += lanes) {
        // x may hold NaN, and so small a largest that its inverse is infinite. The lesser of NaN
        // and a number is the number.
        const auto y = hn::Min(hn::Mul(hn::LoadU(d, x + i), inverse), highest);
        const auto v = hn::NearestInt(hn::Max(y, hn::Neg(highest)));
        sum = hn::Add(sum, v);
        hn::StoreU(hn::DemoteTo(d8, v), d8, q + i);
      }
      *half_sums++ = hn::GetLane(hn::SumOfLanes(di, sum));
    }
  }
}

#else

void quantize(const float* x, int64_t columns, int8_t* q, float* scale, int32_t* half_sums) {
  for (int64_t c = 0; c < columns; c += 32, x += 32, q += 32) {
    float largest = 0.0f;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float inverse = largest == 0.0f ? 0.0f : 127.0f / largest;
    *scale++ = largest / 127.0f;
    for (int half = 0; half < 32; half += 16) {
      int32_t sum = 0;
      for (int i = half; i < half + 16; ++i) {
        const float v = std::nearbyint(x[i] * inverse);
        // Written so that NaN, which x may hold, becomes a number.
        q[i] = static_cast<int8_t>(v >= -127.0f && v <= 127.0f ? v : 127.0f);
        sum += q[i];
      }
      *half_sums++ = sum;
    }
  }
}

#endif

QuantizeRow quantizer() { return quantize; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {

QuantizeRow quantize_row(CpuLevel level) {
#if defined(__x86_64__)
  if (level == CpuLevel::kAvx512 || level == CpuLevel::kAmx) return N_AVX3::quantizer();
  if (level == CpuLevel::kAvx2) return N_AVX2::quantizer();
#endif
  (void)level;
  return HWY_STATIC_DISPATCH(quantizer)();
}

}  // namespace pare
#endif  // HWY_ONCE

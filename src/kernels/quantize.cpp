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

template <class T>
constexpr float most() {
  return static_cast<float>(sizeof(T) == 1 ? 127 : kWideMost);
}

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

template <class T>
void quantize(const float* x, int64_t columns, T* q, float* scale, int32_t* half_sums) {
  constexpr float kMost = most<T>();
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<T, decltype(d)> dq;
  const size_t lanes = hn::Lanes(d);
  for (int64_t c = 0; c < columns; c += 32, x += 32, q += 32) {
    // Magnitudes are in the order of their bits, NaN above infinity; compared as floats NaN is
    // lost.
    auto norms = hn::Zero(di);
    for (size_t i = 0; i < 32; i += lanes) {
      norms = hn::Max(norms, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
    }
    const float largest = hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, norms)));
    const auto inverse = hn::Set(d, largest == 0.0f ? 0.0f : kMost / largest);
    *scale++ = largest / kMost;
    const auto highest = hn::Set(d, kMost);
    for (size_t half = 0; half < 32; half += 16) {
      auto sum = hn::Zero(di);
      for (size_t i = half; i < half + 16; i += lanes) {
        // x may hold NaN, and so small a largest that its inverse is infinite. The lesser of NaN
        // and a number is the number.
        const auto y = hn::Min(hn::Mul(hn::LoadU(d, x + i), inverse), highest);
        const auto v = hn::NearestInt(hn::Max(y, hn::Neg(highest)));
        sum = hn::Add(sum, v);
        hn::StoreU(hn::DemoteTo(dq, v), dq, q + i);
      }
      *half_sums++ = hn::GetLane(hn::SumOfLanes(di, sum));
    }
  }
}

#else

template <class T>
void quantize(const float* x, int64_t columns, T* q, float* scale, int32_t* half_sums) {
  constexpr float kMost = most<T>();
  for (int64_t c = 0; c < columns; c += 32, x += 32, q += 32) {
    float largest = 0.0f;
    for (int i = 0; i < 32 && !std::isnan(largest); ++i) {
      if (const float norm = std::fabs(x[i]); !(norm <= largest)) largest = norm;
    }
    const float inverse = largest == 0.0f ? 0.0f : kMost / largest;
    *scale++ = largest / kMost;
    for (int half = 0; half < 32; half += 16) {
      int32_t sum = 0;
      for (int i = half; i < half + 16; ++i) {
        const float v = std::nearbyint(x[i] * inverse);
        // Written so that NaN, which x may hold, becomes a number.
        q[i] = static_cast<T>(v >= -kMost && v <= kMost ? v : kMost);
        sum += q[i];
      }
      *half_sums++ = sum;
    }
  }
}

#endif

template <class T>
QuantizeRow<T> quantizer() {
  return quantize<T>;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {

template <class T>
QuantizeRow<T> quantize_row(CpuLevel level) {
#if defined(__x86_64__)
  if (uses(level, CpuLevel::kAvx512)) return N_AVX3::quantizer<T>();
  if (uses(level, CpuLevel::kAvx2)) return N_AVX2::quantizer<T>();
#endif
  (void)level;
  return HWY_STATIC_DISPATCH(quantizer<T>)();
}

template QuantizeRow<int8_t> quantize_row(CpuLevel level);
template QuantizeRow<int16_t> quantize_row(CpuLevel level);

}  // namespace pare
#endif  // HWY_ONCE

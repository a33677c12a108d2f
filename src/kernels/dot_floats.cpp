#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dot_floats.cpp"
#include "kernels/dot_floats.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

using Floats = hn::CappedTag<float, 16>;
using V = hn::Vec<Floats>;

// Weights are asked for so many bytes before they are needed; from further away Zen 3 reads them a
// seventh slower.
constexpr size_t kAhead = HWY_TARGET == HWY_AVX2 ? 1024 : 6144;

HWY_INLINE V load(const float* p) { return hn::LoadU(Floats(), p); }
HWY_INLINE V load(const hwy::float16_t* p) {
  return hn::PromoteTo(Floats(), hn::LoadU(hn::Rebind<hwy::float16_t, Floats>(), p));
}
HWY_INLINE V load(const hwy::bfloat16_t* p) {
  return hn::PromoteTo(Floats(), hn::LoadU(hn::Rebind<hwy::bfloat16_t, Floats>(), p));
}

template <class T, size_t kTokens>
HWY_INLINE void dot_row(const T* w, size_t columns, const float* x, size_t x_stride, float* y,
                        size_t y_stride) {
  const Floats d;
  // Sums of each token, so that one need not wait for another; all of them in registers.
  constexpr size_t kParts = kTokens == 4 && HWY_TARGET == HWY_AVX2 ? 2 : 4;
  const size_t lanes = hn::Lanes(d);
  V sums[kTokens][kParts];
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t i = 0; i < kParts; ++i) sums[t][i] = hn::Zero(d);
  }
  size_t c = 0;
  for (; c + kParts * lanes <= columns; c += kParts * lanes) {
    const uintptr_t ahead = reinterpret_cast<uintptr_t>(w + c) + kAhead;  // maybe behind the rows
    for (size_t i = 0; i < kParts * lanes * sizeof(T); i += 64) {
      __builtin_prefetch(reinterpret_cast<const void*>(ahead + i), 0, 2);
    }
    for (size_t i = 0; i < kParts; ++i) {
      const V v = load(w + c + i * lanes);
      for (size_t t = 0; t < kTokens; ++t) {
        sums[t][i] = hn::MulAdd(v, load(x + t * x_stride + c + i * lanes), sums[t][i]);
      }
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    V all = hn::Add(sums[t][0], sums[t][1]);
    if constexpr (kParts == 4) all = hn::Add(all, hn::Add(sums[t][2], sums[t][3]));
    float sum = hn::GetLane(hn::SumOfLanes(d, all));
    if (c < columns) {
      // The last columns, behind zeros.
      HWY_ALIGN T last_w[64] = {};
      HWY_ALIGN float last_x[64] = {};
      const size_t left = columns - c;
      std::memcpy(static_cast<void*>(last_w), w + c, left * sizeof(T));
      std::memcpy(last_x, x + t * x_stride + c, left * sizeof(float));
      V rest = hn::Zero(d);
      for (size_t i = 0; i < left; i += lanes) {
        rest = hn::MulAdd(load(last_w + i), load(last_x + i), rest);
      }
      sum += hn::GetLane(hn::SumOfLanes(d, rest));
    }
    y[t * y_stride] = sum;
  }
}

template <class T, size_t kTokens>
void dot_rows(const T* w, size_t rows, size_t columns, const float* x, size_t x_stride, float* y,
              size_t y_stride) {
  for (size_t r = 0; r < rows; ++r, w += columns) {
    dot_row<T, kTokens>(w, columns, x, x_stride, y + r, y_stride);
  }
}

template <class T>
void dot(const std::byte* weight, int64_t rows_, int64_t columns_, const float* x,
         int64_t x_stride_, int64_t tokens, float* y, int64_t y_stride_) {
  const auto* w = reinterpret_cast<const T*>(weight);
  const auto rows = static_cast<size_t>(rows_), columns = static_cast<size_t>(columns_);
  const auto x_stride = static_cast<size_t>(x_stride_), y_stride = static_cast<size_t>(y_stride_);
  if (tokens == 4) return dot_rows<T, 4>(w, rows, columns, x, x_stride, y, y_stride);
  if (tokens >= 2) dot_rows<T, 2>(w, rows, columns, x, x_stride, y, y_stride);
  if (tokens == 2) return;
  const auto last = static_cast<size_t>(tokens - 1);
  dot_rows<T, 1>(w, rows, columns, x + last * x_stride, x_stride, y + last * y_stride, y_stride);
}

FloatDot choose(CodecId codec) {
  switch (codec) {
    case CodecId::kF32:
      return dot<float>;
    case CodecId::kF16:
      return dot<hwy::float16_t>;
    case CodecId::kBF16:
      return dot<hwy::bfloat16_t>;
    default:
      return nullptr;
  }
}

#endif  // a target with vectors

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {

FloatDot find_float_dot(CpuLevel level, CodecId codec) {
#if defined(__x86_64__)
  if (level == CpuLevel::kAvx512 || level == CpuLevel::kAmx) return N_AVX3::choose(codec);
  if (level == CpuLevel::kAvx2) return N_AVX2::choose(codec);
#elif defined(__aarch64__)
  if (level == CpuLevel::kNeon) return N_NEON::choose(codec);
#endif
  (void)level, (void)codec;
  return nullptr;
}

}  // namespace pare
#endif  // HWY_ONCE

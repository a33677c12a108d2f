#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // only the CPU levels
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dot_floats.cpp"
#include "kernels/dot_floats.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/core.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

// With vectors of sixteen, Zen 4 has so many loads on their way to memory that one token reads a
// fifth slower.
using Floats = hn::CappedTag<float, 8>;
// Two of those in one, where there are: for some tokens that is no matter.
constexpr bool kHasPairs = HWY_TARGET <= HWY_AVX3;
using Pairs = hn::CappedTag<float, kHasPairs ? 16 : 8>;

// Weights are asked for so many bytes before they are needed; from further away Zen 3 reads them a
// seventh slower.
constexpr size_t kAhead = HWY_TARGET == HWY_AVX2 ? 1024 : 6144;

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D, class Half>  // hwy::float16_t or hwy::bfloat16_t
HWY_INLINE hn::Vec<D> load(D d, const Half* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Half, D>(), p));
}

template <class T>
HWY_INLINE void ask_ahead(const T* w, size_t bytes, size_t distance) {
  const uintptr_t ahead = reinterpret_cast<uintptr_t>(w) + distance;  // maybe behind the rows
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + i), 0, 2);
  }
}

// The product of the last columns, behind zeros.
template <class T>
HWY_INLINE float dot_last(const T* w, const float* x, size_t columns) {
  HWY_ALIGN T last_w[64] = {};
  HWY_ALIGN float last_x[64] = {};
  std::memcpy(static_cast<void*>(last_w), w, columns * sizeof(T));
  std::memcpy(last_x, x, columns * sizeof(float));
  const Floats d;
  auto sum = hn::Zero(d);
  for (size_t i = 0; i < columns; i += hn::Lanes(d)) {
    sum = hn::MulAdd(load(d, last_w + i), load(d, last_x + i), sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class D>
HWY_INLINE float sum_of_lanes(D d, hn::Vec<D> v) {
  if constexpr (kHasPairs && std::is_same_v<D, Pairs>) {
    const Floats half;
    return sum_of_lanes(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else {
    return hn::GetLane(hn::SumOfLanes(d, v));
  }
}

// kParts sums of each row and token, so that one need not wait for another; all of them in
// registers. Two of Floats are what one of Pairs is, bit for bit.
template <class D, class T, size_t kRows, size_t kTokens, size_t kParts>
HWY_INLINE void dot_together(const T* w, size_t columns, const float* x, size_t x_stride, float* y,
                             size_t y_stride) {
  using V = hn::Vec<D>;
  const D d;
  const size_t lanes = hn::Lanes(d), step = 4 * hn::Lanes(Floats());
  V sums[kRows][kTokens][kParts];
  for (auto& row : sums) {
    for (auto& token : row) {
      for (V& sum : token) sum = hn::Zero(d);
    }
  }
  size_t c = 0;
  for (; c + step <= columns; c += step) {
    // Of rows together, the same columns of those that come next.
    const size_t distance = kRows == 1 ? kAhead : kRows * columns * sizeof(T);
    for (size_t r = 0; r < kRows; ++r) {
      ask_ahead(w + r * columns + c, step * sizeof(T), distance);
    }
    for (size_t i = 0; i < step / lanes; ++i) {
      V v[kRows];
      for (size_t r = 0; r < kRows; ++r) v[r] = load(d, w + r * columns + c + i * lanes);
      for (size_t t = 0; t < kTokens; ++t) {
        const V u = load(d, x + t * x_stride + c + i * lanes);
        for (size_t r = 0; r < kRows; ++r) {
          V& sum = sums[r][t][i % kParts];
          sum = hn::MulAdd(v[r], u, sum);
        }
      }
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t t = 0; t < kTokens; ++t) {
      V all = sums[r][t][0];
      for (size_t i = 1; i < kParts; ++i) all = hn::Add(all, sums[r][t][i]);
      float sum = sum_of_lanes(d, all);
      if (c < columns) sum += dot_last(w + r * columns + c, x + t * x_stride + c, columns - c);
      y[t * y_stride + r] = sum;
    }
  }
}

// Registers for sums.
constexpr size_t kSums = HWY_TARGET == HWY_AVX2 ? 12 : 24;

template <class D, class T, size_t kTokens, size_t kParts>
void dot_rows(const T* w, size_t rows, size_t columns, const float* x, size_t x_stride, float* y,
              size_t y_stride) {
  // Two tokens and more meet some rows at a time, or reading the tokens would take longer than
  // multiplying.
  constexpr size_t kTogether = HWY_TARGET == HWY_AVX2 ? 3 : 4;
  constexpr size_t kRows =
      kTokens == 1 && kParts > 1 ? 1 : std::min(kTogether, kSums / (kTokens * kParts));
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    dot_together<D, T, kRows, kTokens, kParts>(w + r * columns, columns, x, x_stride, y + r,
                                               y_stride);
  }
  for (; r < rows; ++r) {
    dot_together<D, T, 1, kTokens, kParts>(w + r * columns, columns, x, x_stride, y + r, y_stride);
  }
}

// At most kAtOnce tokens at a time.
template <class D, class T, size_t kAtOnce, size_t kParts>
void dot_tokens(const T* w, size_t rows, size_t columns, const float* x, size_t x_stride,
                size_t tokens, float* y, size_t y_stride) {
  for (; tokens >= kAtOnce; tokens -= kAtOnce, x += kAtOnce * x_stride, y += kAtOnce * y_stride) {
    dot_rows<D, T, kAtOnce, kParts>(w, rows, columns, x, x_stride, y, y_stride);
  }
  if constexpr (kAtOnce > 1) {
    dot_tokens<D, T, kAtOnce - 1, kParts>(w, rows, columns, x, x_stride, tokens, y, y_stride);
  }
}

template <class T>
void dot(const std::byte* weight, int64_t rows_, int64_t columns_, const float* x,
         int64_t x_stride_, int64_t tokens_, float* y, int64_t y_stride_) {
  const auto* w = reinterpret_cast<const T*>(weight);
  const auto rows = static_cast<size_t>(rows_), columns = static_cast<size_t>(columns_);
  const auto x_stride = static_cast<size_t>(x_stride_), y_stride = static_cast<size_t>(y_stride_);
  const auto tokens = static_cast<size_t>(tokens_);
  // Up to kAlikeTokens have the two parts that one token needs.
  if (tokens == 1) {
    dot_rows<Floats, T, 1, 2>(w, rows, columns, x, x_stride, y, y_stride);
  } else if (kHasPairs) {
    dot_tokens<Pairs, T, 4, 1>(w, rows, columns, x, x_stride, tokens, y, y_stride);
  } else if (tokens_ > kAlikeTokens) {
    dot_tokens<Floats, T, 4, 1>(w, rows, columns, x, x_stride, tokens, y, y_stride);
  } else {
    constexpr size_t kAtOnce = HWY_TARGET == HWY_AVX2 ? 2 : 4;
    dot_tokens<Floats, T, kAtOnce, 2>(w, rows, columns, x, x_stride, tokens, y, y_stride);
  }
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
  if (uses(level, CpuLevel::kAvx512)) return N_AVX3::choose(codec);
  if (uses(level, CpuLevel::kAvx2)) return N_AVX2::choose(codec);
#elif defined(__aarch64__)
  if (level == CpuLevel::kNeon) return N_NEON::choose(codec);
#endif
  (void)level, (void)codec;
  return nullptr;
}

}  // namespace pare
#endif  // HWY_ONCE

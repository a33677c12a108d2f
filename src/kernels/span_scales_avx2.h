// What sums of spans are scaled with, for AVX2: the scales of weights times those of activations.
#pragma once

#include "kernels/span_avx2.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// The scales of weights times those of activations, for each register of sums: from memory, where
// one is loaded eight times for less than a permutation takes.
template <class C>
class Scales {
 public:
  PARE_METHOD void set(const SpanScales& w, const Int8Rows& x, int64_t at) {
    _mm256_store_ps(memory_, _mm256_mul_ps(w.scale, _mm256_loadu_ps(x.scale + at / 32)));
  }
  PARE_METHOD __m256 of(int j) const { return _mm256_broadcast_ss(memory_ + j); }

 private:
  alignas(32) float memory_[8];
};
// Four in the order of a permutation's bits: the j-th of each half, in all of it.
PARE_INLINE __m256 one_of_halves(__m256 v, int j) {
  switch (j) {
    case 0:
      return _mm256_permute_ps(v, 0x00);
    case 1:
      return _mm256_permute_ps(v, 0x55);
    case 2:
      return _mm256_permute_ps(v, 0xaa);
    default:
      return _mm256_permute_ps(v, 0xff);
  }
}
// Even ones in the low half, odd ones in the high half.
PARE_INLINE __m256 apart(__m256 v) {
  return _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
// Of pairs: a register has sums of one in its low half, of the other in its high half.
template <class C>
requires(C::kPairs) class Scales<C> {
 public:
  PARE_METHOD void set(const SpanScales& w, const Int8Rows& x, int64_t at) {
    apart_ = apart(_mm256_mul_ps(w.scale, _mm256_loadu_ps(x.scale + at / 32)));
  }
  PARE_METHOD __m256 of(int p) const { return one_of_halves(apart_, p); }

 private:
  __m256 apart_;
};
// Of 16 columns: likewise.
template <class C>
requires(C::kLevels == Levels::kPlain16) class Scales<C> {
 public:
  PARE_METHOD void set(const SpanScales& w, const Int8Rows& x, int64_t at) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      apart_[i] = apart(_mm256_mul_ps(w.by_16[i], _mm256_loadu_ps(x.scale16 + at / 16 + 8 * i)));
    }
  }
  PARE_METHOD __m256 of(int j) const { return one_of_halves(apart_[j / 4], j % 4); }

 private:
  __m256 apart_[2];
};

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

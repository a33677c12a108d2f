// Few tokens meet rows that were unpacked, on AVX-512.
#include "kernels/core_avx512.h"

#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES(PARE_AVX512_TARGET)

namespace pare {
namespace {

// The scale of each of 16 lanes (4 columns each) among 16 scales: chunk j of 64 columns.
template <int kScaleLen>
PARE_INLINE __m512i lane_scales(int chunk) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i group = kScaleLen == 32 ? _mm512_srli_epi32(lane, 3) : _mm512_srli_epi32(lane, 2);
  return _mm512_add_epi32(group, _mm512_set1_epi32(chunk * (64 / kScaleLen)));
}

template <int kScaleLen, int kOffsetLen, int kCount>
PARE_INLINE void few_block(const PlanarForm& form, const PlanarPiece& piece, int64_t columns,
                           const Int8Rows& x, float* sums) {
  constexpr int kSpan = 16 * kScaleLen;  // columns of 16 scales
  constexpr int kChunks = kSpan / 64;
  const int64_t scale_stride = x.stride / kScaleLen;
  const float* x_scale = kScaleLen == 32 ? x.scale : x.scale16;
  const float* x_sum = kScaleLen == 32 ? x.sum : x.sum16;
  const __m512 minus_zero = _mm512_set1_ps(static_cast<float>(-form.zero));
  // Neighbouring chunks are added apart, so that one's sum does not wait for the other's.
  __m512 acc[2][kCount], corrections[kCount];
#pragma GCC unroll 8
  for (int t = 0; t < kCount; ++t) {
    acc[0][t] = acc[1][t] = corrections[t] = _mm512_setzero_ps();
  }
  for (int64_t begin = 0; begin < columns; begin += kSpan) {
    const __m512 scale = _mm512_load_ps(piece.scale + begin / kScaleLen);
    __m512 both[kCount];
#pragma GCC unroll 8
    for (int t = 0; t < kCount; ++t) {
      const int64_t at = t * scale_stride + begin / kScaleLen;
      both[t] = _mm512_mul_ps(scale, _mm512_loadu_ps(x_scale + at));
      if (form.zero != 0) {
        corrections[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, minus_zero),
                                         _mm512_loadu_ps(x_sum + at), corrections[t]);
      }
    }
    const auto chunk = [&](int j) __attribute__((always_inline)) {
      const __m512i level = _mm512_load_si512(piece.level + begin + 64 * j);
      const __m512i lanes = lane_scales<kScaleLen>(j);
#pragma GCC unroll 8
      for (int t = 0; t < kCount; ++t) {
        const __m512i q = _mm512_loadu_si512(x.q + t * x.stride + begin + 64 * j);
        const __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), level, q);
        acc[j % 2][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot),
                                        _mm512_permutexvar_ps(lanes, both[t]), acc[j % 2][t]);
      }
    };
    if (columns - begin >= kSpan) {
#pragma GCC unroll 8
      for (int j = 0; j < kChunks; ++j) chunk(j);
    } else {
#pragma GCC unroll 8
      for (int j = 0; j < kChunks; ++j) {
        if (64 * j < columns - begin) chunk(j);
      }
    }
  }
  if constexpr (kOffsetLen != 0) {
    const int64_t sum_stride = x.stride / kOffsetLen;
    const float* sum = kOffsetLen == 32 ? x.sum : x.sum16;
    for (int64_t begin = 0; begin < columns; begin += 16 * kOffsetLen) {
      const __m512 offset = _mm512_load_ps(piece.offset + begin / kOffsetLen);
#pragma GCC unroll 8
      for (int t = 0; t < kCount; ++t) {
        const float* s = sum + t * sum_stride + begin / kOffsetLen;
        corrections[t] = _mm512_fmadd_ps(offset, _mm512_loadu_ps(s), corrections[t]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kCount; ++t) {
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(acc[0][t], acc[1][t]), corrections[t]);
    sums[t] += _mm512_reduce_add_ps(sum);
  }
}

template <int kScaleLen, int kOffsetLen>
void few(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, const Int8Rows& x,
         int64_t tokens, float* sums) {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) {
    few_block<kScaleLen, kOffsetLen, 4>(form, piece, columns, x.from(t), sums + t);
  }
  if (t + 2 <= tokens) {
    few_block<kScaleLen, kOffsetLen, 2>(form, piece, columns, x.from(t), sums + t);
    t += 2;
  }
  if (t < tokens) {
    few_block<kScaleLen, kOffsetLen, 1>(form, piece, columns, x.from(t), sums + t);
  }
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

Core::Few avx512_few(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? few<32, 0> : few<16, 0>;
  if (form.offset_len == 32) return few<32, 32>;
  return form.scale_len == 32 ? few<32, 16> : few<16, 16>;
}

}  // namespace pare

#endif  // __x86_64__

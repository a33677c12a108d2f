// Unpacked rows and few tokens, for AVX2. Levels above 127 are made signed, and their signs moved
// to the activations: vpmaddubsw would saturate.
#include "kernels/core_avx2.h"

#if defined(__x86_64__)

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")

namespace pare {
namespace {

using namespace avx2;

PARE_INLINE float sum_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// Sums of four products in 32 bits.
template <bool kSigned>
PARE_INLINE __m256i dot4(__m256i w, __m256i q) {
  const __m256i pairs = kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w))
                                : _mm256_maddubs_epi16(w, q);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

template <bool kSigned, int kScaleLen>
void few(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, const Int8Rows& x,
         int64_t tokens, float* sums) {
  const __m256i sign_bit = _mm256_set1_epi8(-128);
  const __m256 minus_zero = _mm256_set1_ps(static_cast<float>((kSigned ? 128 : 0) - form.zero));
  const int64_t groups = columns / kScaleLen;
  for (int64_t t = 0; t < tokens; ++t) {
    const int8_t* q = x.q + t * x.stride;
    const float* x_scale = (kScaleLen == 32 ? x.scale : x.scale16) + t * x.stride / kScaleLen;
    const float* x_sum = (kScaleLen == 32 ? x.sum : x.sum16) + t * x.stride / kScaleLen;
    alignas(32) float both[kPieceColumns / 16];
    __m256 correction = _mm256_setzero_ps();
    for (int64_t g = 0; g < groups; g += 8) {
      const __m256 scale = _mm256_load_ps(piece.scale + g);
      _mm256_store_ps(both + g, _mm256_mul_ps(scale, _mm256_loadu_ps(x_scale + g)));
      correction =
          _mm256_fmadd_ps(_mm256_mul_ps(scale, minus_zero), _mm256_loadu_ps(x_sum + g), correction);
    }
    if (form.offset_len != 0) {
      const float* offset_sum =
          (form.offset_len == 32 ? x.sum : x.sum16) + t * x.stride / form.offset_len;
      for (int64_t g = 0; g < columns / form.offset_len; g += 8) {
        correction = _mm256_fmadd_ps(_mm256_load_ps(piece.offset + g),
                                     _mm256_loadu_ps(offset_sum + g), correction);
      }
    }
    __m256 acc[2] = {correction, _mm256_setzero_ps()};
    const auto step = [&](int64_t c, __m256 * sum) __attribute__((always_inline)) {
      __m256i w = load_bytes(piece.level + c);
      if constexpr (kSigned) w = _mm256_xor_si256(w, sign_bit);
      const __m256 dots = _mm256_cvtepi32_ps(dot4<kSigned>(w, load_bytes(q + c)));
      const float* s = both + c / kScaleLen;
      const __m256 scale = kScaleLen == 32 ? _mm256_broadcast_ss(s)
                                           : _mm256_blend_ps(_mm256_broadcast_ss(s),
                                                             _mm256_broadcast_ss(s + 1), 0xf0);
      *sum = _mm256_fmadd_ps(dots, scale, *sum);
    };
    int64_t c = 0;
    for (; c + 64 <= columns; c += 64) {
      step(c, &acc[0]);
      step(c + 32, &acc[1]);
    }
    if (c < columns) step(c, &acc[0]);
    sums[t] += sum_of(_mm256_add_ps(acc[0], acc[1]));
  }
}

}  // namespace

Core::Few avx2_few(const PlanarForm& form) {
  if (form.max_level > 127) return form.scale_len == 32 ? few<true, 32> : few<true, 16>;
  return form.scale_len == 32 ? few<false, 32> : few<false, 16>;
}

}  // namespace pare

HWY_POP_ATTRIBUTES

#endif  // __x86_64__

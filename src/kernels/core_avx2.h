// What the parts of the core for AVX2 share.
#pragma once

#include "kernels/core.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

namespace pare {

// Core::few: rows that were unpacked, for codecs without a Dot.
Core::Few avx2_few(const PlanarForm& form);

// Core::interleave where no levels are widened.
void avx2_interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                     const Panel& out);
// Core::wide and Core::many.
bool avx2_wide(const PlanarForm& form);
Core::Many avx2_many(const PlanarForm& form);
// Core::many_wide.
void avx2_many_wide(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
                    const Core::Output& out);

}  // namespace pare

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")
#define PARE_INLINE static inline __attribute__((always_inline))
#define PARE_METHOD inline __attribute__((always_inline))

namespace pare::avx2 {
namespace {

constexpr int kRows = 16;   // of a panel: two registers
constexpr int kTokens = 6;  // of a tile: with two sums each, and operands, they fill 16 registers

PARE_INLINE __m256i load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

PARE_INLINE __m256i row_mask(int64_t rows) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(rows)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Sums of a tile, [tokens][2] registers, in the first-level cache: those of integers need all
// registers that there are.
class Kept {
 public:
  PARE_METHOD explicit Kept(float* memory) : at_(memory) {}
  PARE_METHOD __m256 get(int t, int v) const { return _mm256_load_ps(at_ + 16 * t + 8 * v); }
  PARE_METHOD void set(int t, int v, __m256 sum) const {
    _mm256_store_ps(at_ + 16 * t + 8 * v, sum);
  }
  PARE_METHOD __m256i get_integers(int t, int v) const { return _mm256_castps_si256(get(t, v)); }
  PARE_METHOD void set(int t, int v, __m256i sum) const { set(t, v, _mm256_castsi256_ps(sum)); }

 private:
  float* at_;
};

// The compiler would keep copies of sums elsewhere, and store all of them twice.
PARE_INLINE void stay_in_memory() { __asm__ volatile("" : : : "memory"); }

template <int kCount>
PARE_INLINE void begin_sums(const Core::Output& out, const Kept& sums) {
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    const __m256i mask = row_mask(out.rows - 8 * v);
    const __m256 bias =
        out.bias != nullptr ? _mm256_maskload_ps(out.bias + 8 * v, mask) : _mm256_setzero_ps();
    for (int t = 0; t < kCount; ++t) {
      const float* y = out.y + t * out.y_stride + 8 * v;
      sums.set(t, v, out.first ? bias : _mm256_maskload_ps(y, mask));
    }
  }
}

template <int kCount>
PARE_INLINE void end_sums(const Core::Output& out, const Kept& sums) {
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    const __m256i mask = row_mask(out.rows - 8 * v);
    for (int t = 0; t < kCount; ++t) {
      _mm256_maskstore_ps(out.y + t * out.y_stride + 8 * v, mask, sums.get(t, v));
    }
  }
}

PARE_INLINE Core::Output advanced(const Core::Output& out, int64_t tokens) {
  Core::Output next = out;
  next.y += tokens * out.y_stride;
  return next;
}

}  // namespace
}  // namespace pare::avx2

HWY_POP_ATTRIBUTES

#endif  // __x86_64__
